//! Content pages: about, privacy and what else a site has to say.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};

use super::content_revisions;
use crate::{
    http::{Call, Result, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Spec, value},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "content_pages")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub slug: String,
    pub title: String,
    pub excerpt: Option<String>,
    pub body: String,
    pub status: String,
    pub show_in_menu: bool,
    pub position: i32,
    pub hero_id: Option<Uuid>,
    pub published_at: Option<DateTimeUtc>,
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
        name: "content-pages",
        path: "/content/pages",
        table: "content_pages",
        owner: None,
        fields: &[
            Field::slug("slug"),
            Field::text("title", "120").required(),
            Field::text("excerpt", "300"),
            Field::markdown("body", "50000").required(),
            Field::one_of("status", &["draft", "published"]).default("\"draft\""),
            Field::bool("showInMenu").default("false"),
            Field::int("position").default("0").min("0").max("9999"),
            Field::reference("heroId", "uploads"),
            Field::timestamp("publishedAt").server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["status", "showInMenu"],
            ranges: &[],
            params: &[],
            sort: &["position", "title", "createdAt", "updatedAt"],
            default_sort: "position",
            search: &["title", "excerpt", "body"],
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: STAFF,
            update: STAFF,
            delete: Some(&[Who::Admin]),
        },
    };

    async fn visible(call: &Call) -> Result<Condition> {
        let published = (!call.is_staff()).then(|| Column::Status.eq("published"));
        Ok(Condition::all().add_option(published))
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let was_published = change.before.is_some_and(|row| row.published_at.is_some());
        if change.text("status") == Some("published") && !was_published {
            change.set("publishedAt", value::instant(call.now()));
        }
        Ok(())
    }

    async fn written(call: &Call, before: Option<&Model>, after: &Model) -> Result<()> {
        let is_same = before.is_some_and(|before| before.title == after.title && before.body == after.body);
        if is_same {
            return Ok(());
        }
        content_revisions::add(call, after).await
    }
}
