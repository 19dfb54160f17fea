//! The contact form, and the answers to it.

use fault::{Fault, codes};
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::notifications::{To, notify};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Spec, show, update, value},
    sandbox::mail::{self, Mail},
    settings::Settings,
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_messages")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub email: String,
    pub subject: String,
    pub message: String,
    pub user_id: Option<Uuid>,
    pub status: String,
    pub note: Option<String>,
    pub reply: Option<String>,
    pub replied_at: Option<DateTimeUtc>,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const STAFF: Option<&[Who]> = Some(&[Who::Staff]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "contact-messages",
        path: "/contact",
        table: "contact_messages",
        owner: None,
        fields: &[
            Field::text("name", "80").required().create_only(),
            Field::email("email").required().create_only(),
            Field::text("subject", "120").required().create_only(),
            Field::text("message", "4000").min("10").required().create_only(),
            Field::reference("userId", "users").server(),
            Field::one_of("status", &["new", "in_progress", "closed"])
                .default("\"new\"")
                .by_staff(),
            Field::text("note", "1000").by_staff().for_staff(),
            Field::text("reply", "4000").server(),
            Field::timestamp("repliedAt").server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["status"],
            ranges: &["createdAt"],
            params: &[],
            sort: &["createdAt", "status"],
            default_sort: "-createdAt",
            search: &["name", "email", "subject", "message"],
        },
        operations: Operations {
            list: STAFF,
            get: STAFF,
            create: Some(&[Who::Public]),
            update: STAFF,
            delete: Some(&[Who::Admin]),
        },
    };

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        if let (true, Some(caller)) = (change.is_create(), call.caller()) {
            change.set("userId", json!(caller.id));
        }
        Ok(())
    }

    async fn written(call: &Call, before: Option<&Model>, after: &Model) -> Result<()> {
        if before.is_some() {
            return Ok(());
        }
        let settings = Settings::load(call).await?;
        let (us, name) = (settings.text("contact.email"), settings.text("app.name"));
        let received = Mail {
            to: &after.email,
            name: Some(&after.name),
            template: "core.contact-received",
            subject: "We have your message".to_owned(),
            lines: vec![format!(
                "thank you for writing about \"{}\". We answer within a working day.",
                after.subject
            )],
            action: Some(("Write again", "/contact".to_owned())),
        };
        let new = Mail {
            to: &us,
            name: Some(&name),
            template: "core.contact-new",
            subject: format!("New message: {}", after.subject),
            lines: vec![
                format!("{} ({}) wrote:", after.name, after.email),
                after.message.clone(),
            ],
            action: Some(("Answer", format!("/admin/contact/{}", after.id))),
        };
        mail::send_all(call, &[received, new]).await?;
        let body = format!("{}: {}", after.name, after.subject);
        let (title, link) = ("New contact message", format!("/admin/contact/{}", after.id));
        notify(call, To::Staff, "core.contact-new", title, Some(&body), &link);
        Ok(())
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/contact/{id}/reply", "reply", reply)
            .who(&[Who::Staff])
            .body(const { &[Field::text("reply", "4000").required()] })
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE]),
    ]
}

/// Answers a message and closes it.
async fn reply(call: Call) -> Result<Answer> {
    let before = show::find::<Entity>(&call, call.parameter("id"), show::Lock::Update).await?;
    if before.reply.is_some() {
        return Err(Fault::new(codes::INVALID_STATE, "This message has a reply already.").into());
    }
    let text = call
        .body()
        .get("reply")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut values = Map::new();
    values.insert("reply".to_owned(), json!(text));
    values.insert("repliedAt".to_owned(), json!(value::instant(call.now())));
    values.insert("status".to_owned(), json!("closed"));
    let after = update::write_later::<Entity>(&call, &before, &values)?;
    let mail = Mail {
        to: &after.email,
        name: Some(&after.name),
        template: "core.contact-reply",
        subject: format!("Re: {}", after.subject),
        lines: vec![text],
        action: Some(("Write again", "/contact".to_owned())),
    };
    mail::send(&call, mail).await?;
    update::answer::<Entity>(&call, &before, after).await
}
