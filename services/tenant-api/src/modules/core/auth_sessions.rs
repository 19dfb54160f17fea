//! Devices that are signed in.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::json;

use crate::{
    http::{Answer, Call, Result, Route, Who, answer::Subject},
    resource::{Field, ListSpec, Operations, Resource, Row, Spec, permit::permit, show, spec, value},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "auth_sessions")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub family_id: Uuid,
    pub refresh_hash: String,
    pub user_agent: Option<String>,
    pub last_used_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub revoked_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "auth-sessions",
        path: "/auth/sessions",
        table: "auth_sessions",
        owner: Some("userId"),
        fields: &[
            Field::reference("userId", "users").server(),
            Field::uuid("familyId").server().hidden(),
            Field::text("refreshHash", "128").server().hidden(),
            Field::text("userAgent", "200").server(),
            Field::timestamp("lastUsedAt").server(),
            Field::timestamp("expiresAt").server(),
            Field::timestamp("revokedAt").server().hidden(),
        ],
        versioned: false,
        list: ListSpec {
            sort: &["lastUsedAt", "createdAt"],
            default_sort: "-lastUsedAt",
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: Some(&[Who::Owner]),
            ..Operations::NONE
        },
    };

    const COMPUTED: &'static [Field] = &[Field::bool("isCurrent").required()];

    async fn visible(call: &Call) -> Result<Condition> {
        Ok(spec::owned::<Self>(call).add(Column::RevokedAt.is_null()))
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let current = call.caller().map(|caller| caller.sign_in);
        for row in rows {
            row.json
                .insert("isCurrent".to_owned(), json!(current == Some(row.model.id)));
            // A sign-in lasts as long as its session, which may have been extended.
            let end = value::instant(call.tenant().expires_at);
            row.json.insert("expiresAt".to_owned(), json!(end));
        }
        Ok(())
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::delete("/auth/sessions/{id}", "delete", revoke)
            .who(&[Who::Owner])
            .returns_id(),
    ]
}

/// Ends a sign-in; its row stays as a tombstone.
async fn revoke(call: Call) -> Result<Answer> {
    let row = show::find::<Entity>(&call, call.parameter("id"), show::Lock::Update).await?;
    permit::<Entity>(&call, Some(&row)).await?;
    let sql = "UPDATE auth_sessions SET revoked_at = $2, updated_at = $2 WHERE id = $1";
    call.run(sql, [row.id.into(), call.now().into()]).await?;
    Ok(Answer::data(json!({ "id": row.id })).about(Subject {
        id: Some(row.id),
        ..Subject::default()
    }))
}
