//! Address books: each user's own.

use fault::Fault;
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Value, json};

use crate::{
    http::{Call, Result, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Spec},
};

/// Addresses that one user may keep.
const MOST: i64 = 10;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_addresses")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub label: Option<String>,
    pub recipient: String,
    pub line1: String,
    pub line2: Option<String>,
    pub city: String,
    pub region: Option<String>,
    pub postal_code: String,
    pub country: String,
    pub phone: Option<String>,
    pub is_default: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const OWNER: Option<&[Who]> = Some(&[Who::Owner]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "addresses",
        path: "/users/me/addresses",
        table: "user_addresses",
        owner: Some("userId"),
        fields: &[
            Field::reference("userId", "users").server(),
            Field::text("label", "40"),
            Field::text("recipient", "80").required(),
            Field::text("line1", "120").required(),
            Field::text("line2", "120"),
            Field::text("city", "80").required(),
            Field::text("region", "80"),
            Field::text("postalCode", "16").required(),
            Field::text("country", "2").required().pattern("[A-Z]{2}"),
            Field::text("phone", "32"),
            Field::bool("isDefault").default("false"),
        ],
        versioned: false,
        list: ListSpec {
            sort: &["createdAt", "label"],
            default_sort: "createdAt",
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: OWNER,
            get: OWNER,
            create: Some(&[Who::User]),
            update: OWNER,
            delete: OWNER,
        },
    };

    /// The caller's own, for every role.
    async fn visible(call: &Call) -> Result<Condition> {
        Ok(Condition::all().add(Column::UserId.eq(call.user()?.id)))
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let owner = call.user()?.id;
        if !change.is_create() && !change.sets("isDefault") {
            return Ok(());
        }
        // One change of a user's default after another.
        call.run("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", [owner.into()])
            .await?;
        if change.is_create() {
            let sql = "SELECT count(*) AS rows FROM user_addresses WHERE user_id = $1";
            let rows = call.row(sql, [owner.into()]).await?;
            let rows: i64 = rows.map_or(Ok(0), |row| row.try_get("", "rows"))?;
            if rows >= MOST {
                let message = format!("holds at most {MOST}; delete one first");
                return Err(Fault::field("addresses", message).into());
            }
            change.set("userId", json!(owner));
            if rows == 0 {
                change.set("isDefault", true);
                return Ok(());
            }
        }
        if change.values.get("isDefault").and_then(Value::as_bool) == Some(true) {
            let sql = "UPDATE user_addresses SET is_default = false, updated_at = $2 WHERE user_id = $1 AND is_default";
            call.run(sql, [owner.into(), call.now().into()]).await?;
        }
        Ok(())
    }
}
