//! Entries of the guestbook: anybody writes one, staff hide what should not be there.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, json};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec, show, update},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "guestbook_entries")]
#[expect(missing_docs, reason = "columns are described in docs/contract/guestbook.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub author: String,
    pub message: String,
    pub is_hidden: bool,
    pub likes: i32,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);
const STAFF: Option<&[Who]> = Some(&[Who::Staff]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "entries",
        path: "/entries",
        table: "guestbook_entries",
        owner: None,
        fields: &[
            Field::text("author", "80").required(),
            Field::text("message", "500").required().min("3"),
            Field::bool("isHidden").default("false").by_staff(),
            Field::int("likes").default("0").server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["isHidden"],
            sort: &["createdAt", "likes"],
            search: &["author", "message"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: PUBLIC,
            update: STAFF,
            delete: STAFF,
        },
    };

    async fn visible(call: &Call) -> Result<Condition> {
        let shown = (!call.is_staff()).then(|| Column::IsHidden.eq(false));
        Ok(Condition::all().add_option(shown))
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn actions() -> Vec<Route> {
    vec![
        Route::post("/entries/{id}/like", "like", like)
            .who(&[Who::User])
            .returns(Entity::ROW),
    ]
}

/// Counts one more like; of several at once each counts.
async fn like(call: Call) -> Result<Answer> {
    let before = show::find::<Entity>(&call, call.parameter("id"), show::Lock::Update).await?;
    let likes = Map::from_iter([("likes".to_owned(), json!(before.likes + 1))]);
    let after = update::write::<Entity>(&call, &before, &likes).await?;
    update::answer::<Entity>(&call, &before, after).await
}
