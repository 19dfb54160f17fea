//! The audit log, for admins. Rows are written by [`audit`](crate::audit).

use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Json, Uuid},
};
use serde_json::Value;

use super::users;
use crate::{
    http::{Call, Result, Who},
    resource::{Field, ListSpec, Operations, Resource, Row, Spec},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_logs")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub actor_id: Option<Uuid>,
    pub actor_name: String,
    pub action: String,
    pub entity_type: String,
    pub entity_id: Option<Uuid>,
    pub summary: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub changes: Option<Json>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const ADMIN: Option<&[Who]> = Some(&[Who::Admin]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "audit-logs",
        path: "/admin/audit-logs",
        table: "audit_logs",
        owner: None,
        fields: &[
            Field::reference("actorId", "users").server(),
            Field::text("actorName", "80").filled().server(),
            Field::text("action", "80").filled().server(),
            Field::text("entityType", "60").filled().server(),
            Field::uuid("entityId").server(),
            Field::text("summary", "200").filled().server(),
            Field::any("changes").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["actorId", "action", "entityType", "entityId"],
            ranges: &["createdAt"],
            search: &["summary", "actorName"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: ADMIN,
            get: ADMIN,
            ..Operations::NONE
        },
    };

    const COMPUTED: &'static [Field] = &[Field::object("actor", &users::USER_CARD)];

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let actors: Vec<Uuid> = rows.iter().filter_map(|row| row.model.actor_id).collect();
        let cards = users::cards(call, &actors).await?;
        for row in rows {
            let card = row.model.actor_id.and_then(|id| cards.get(&id).cloned());
            row.json.insert("actor".to_owned(), card.unwrap_or(Value::Null));
        }
        Ok(())
    }
}
