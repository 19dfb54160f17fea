//! The mailbox: what the application has sent. Open to every visitor of the session, who plays every role.

use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::json;

use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "emails")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub to_email: String,
    pub to_name: Option<String>,
    pub template: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub action_url: Option<String>,
    pub is_read: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "emails",
        path: "/sandbox/emails",
        table: "emails",
        owner: None,
        fields: &[
            Field::email("toEmail").required().server(),
            Field::text("toName", "80").server(),
            Field::text("template", "60").required().server(),
            Field::text("subject", "200").required().server(),
            Field::text("text", "20000").required().server(),
            Field::text("html", "60000").required().server(),
            Field::text("actionUrl", "500").server(),
            Field::bool("isRead").default("false"),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["toEmail", "template", "isRead"],
            search: &["subject", "text", "toEmail"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: None,
            update: PUBLIC,
            delete: PUBLIC,
        },
    };
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![Route::delete("/sandbox/emails", "clear", clear).returns_fields(const { &[Field::int("deleted").required()] })]
}

/// Empties the mailbox.
async fn clear(call: Call) -> Result<Answer> {
    let deleted = call.run("DELETE FROM emails", []).await?;
    Ok(Answer::data(json!({ "deleted": deleted })))
}
