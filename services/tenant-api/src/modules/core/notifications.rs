//! Notifications: for the users named, never for whoever caused them.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec, present, show, value},
    sandbox::mail::clip,
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub kind: String,
    pub title: String,
    pub body: Option<String>,
    pub link: Option<String>,
    pub read_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "notifications",
        path: "/notifications",
        table: "notifications",
        owner: Some("userId"),
        fields: &[
            Field::reference("userId", "users").server(),
            Field::text("kind", "60").required().server(),
            Field::text("title", "120").required().server(),
            Field::text("body", "400").server(),
            Field::text("link", "200").server(),
            Field::timestamp("readAt").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["kind"],
            params: &[Field::bool("unread")],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: Some(&[Who::Owner]),
            delete: Some(&[Who::Owner]),
            ..Operations::NONE
        },
    };

    /// The caller's own, for every role.
    async fn visible(call: &Call) -> Result<Condition> {
        Ok(Condition::all().add(Column::UserId.eq(call.user()?.id)))
    }

    async fn narrow(_call: &Call, params: &Map<String, Value>) -> Result<Condition> {
        let read = match params.get("unread").and_then(Value::as_bool) {
            Some(true) => Some(Column::ReadAt.is_null()),
            Some(false) => Some(Column::ReadAt.is_not_null()),
            None => None,
        };
        Ok(Condition::all().add_option(read))
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/notifications/unread-count", "unread-count", unread_count)
            .who(&[Who::User])
            .returns_fields(const { &[Field::int("unread").required()] }),
        Route::post("/notifications/read-all", "read-all", read_all)
            .who(&[Who::User])
            .returns_fields(const { &[Field::int("changed").required()] }),
        Route::post("/notifications/{id}/read", "read", read)
            .who(&[Who::Owner])
            .returns(Entity::ROW),
        Route::post("/notifications/{id}/unread", "unread", unread)
            .who(&[Who::Owner])
            .returns(Entity::ROW),
    ]
}

async fn unread_count(call: Call) -> Result<Answer> {
    let sql = "SELECT count(*) AS unread FROM notifications WHERE user_id = $1 AND read_at IS NULL";
    let row = call.row(sql, [call.user()?.id.into()]).await?;
    let unread = row.map_or(Ok(0), |row| row.try_get::<i64>("", "unread"))?;
    Ok(Answer::data(json!({ "unread": unread })))
}

async fn read_all(call: Call) -> Result<Answer> {
    let sql = "UPDATE notifications SET read_at = $2, updated_at = $2 WHERE user_id = $1 AND read_at IS NULL";
    let changed = call.run(sql, [call.user()?.id.into(), call.now().into()]).await?;
    Ok(Answer::data(json!({ "changed": changed })))
}

/// Marks one as read, once.
async fn read(call: Call) -> Result<Answer> {
    let now = call.now();
    mark(&call, |row| row.read_at.or(Some(now))).await
}

async fn unread(call: Call) -> Result<Answer> {
    mark(&call, |_| None).await
}

async fn mark(call: &Call, read_at: impl Fn(&Model) -> Option<DateTimeUtc>) -> Result<Answer> {
    let mut row = show::find::<Entity>(call, call.parameter("id"), show::Lock::Update).await?;
    let read_at = read_at(&row);
    if row.read_at != read_at {
        let sql = "UPDATE notifications SET read_at = $2, updated_at = $3 WHERE id = $1";
        call.run(sql, [row.id.into(), read_at.into(), call.now().into()])
            .await?;
        (row.read_at, row.updated_at) = (read_at, call.now());
    }
    present::one::<Entity>(call, row).await.map(Answer::data)
}

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// These users, as far as they exist.
    Users(&'a [Uuid]),
    /// All active ADMIN and STAFF users.
    Staff,
}

/// Tells users, the caller left out, at the end of the request. `link` is an application path.
pub fn notify(call: &Call, to: To<'_>, kind: &'static str, title: &str, body: Option<&str>, link: &str) {
    let mut values: Vec<sea_orm::Value> = vec![
        Uuid::now_v7().to_string().into(),
        kind.into(),
        clip(title, 120).into(),
        body.map(|body| clip(body, 400)).into(),
        clip(link, 200).into(),
        call.caller().map(|caller| caller.id).into(),
    ];
    let to = match to {
        To::Users([]) => return,
        To::Users(ids) => {
            values.push(value::uuids(ids));
            "u.id = ANY ($7)"
        }
        To::Staff => "u.role IN ('ADMIN', 'STAFF') AND u.status = 'active'",
    };
    let id = value::each_id("$1", "u.id::text");
    let sql = format!(
        "INSERT INTO notifications (id, user_id, kind, title, body, link) \
         SELECT {id}, u.id, $2, $3, $4, $5 FROM users u WHERE {to} AND u.id IS DISTINCT FROM $6"
    );
    call.closing().insert("notifications", &sql, values);
}
