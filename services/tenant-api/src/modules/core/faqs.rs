//! Questions and answers.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};

use crate::{
    http::{Call, Result, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "faqs")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub question: String,
    pub answer: String,
    pub category: String,
    pub position: i32,
    pub is_published: bool,
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
        name: "faqs",
        path: "/faqs",
        table: "faqs",
        owner: None,
        fields: &[
            Field::text("question", "200").required(),
            Field::markdown("answer", "4000").required(),
            Field::text("category", "60").default("\"General\""),
            Field::int("position").default("0").min("0").max("9999"),
            Field::bool("isPublished").default("true"),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["category", "isPublished"],
            sort: &["position", "question", "createdAt"],
            default_sort: "position",
            search: &["question", "answer"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: STAFF,
            update: STAFF,
            delete: STAFF,
        },
    };

    async fn visible(call: &Call) -> Result<Condition> {
        let published = (!call.is_staff()).then(|| Column::IsPublished.eq(true));
        Ok(Condition::all().add_option(published))
    }
}
