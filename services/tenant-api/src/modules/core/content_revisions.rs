//! Earlier states of content pages.

use fault::Fault;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::{content_pages, users};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Field, ListSpec, Operations, Resource, Row, Spec, show, update},
};

/// Revisions kept of a page.
const KEPT: i32 = 20;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "content_revisions")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub page_id: Uuid,
    pub number: i32,
    pub title: String,
    pub body: String,
    pub editor_id: Option<Uuid>,
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
        name: "content-revisions",
        path: "/content/pages/{pageId}/revisions",
        table: "content_revisions",
        owner: None,
        fields: &[
            Field::reference("pageId", "content_pages").server(),
            Field::int("number").required().server(),
            Field::text("title", "120").required().server(),
            Field::markdown("body", "50000").required().server(),
            Field::reference("editorId", "users").server(),
        ],
        versioned: false,
        list: ListSpec {
            sort: &["number"],
            default_sort: "-number",
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: STAFF,
            get: STAFF,
            ..Operations::NONE
        },
    };

    const COMPUTED: &'static [Field] = &[Field::object("editor", &users::USER_CARD)];

    async fn parent(call: &Call) -> Result<Map<String, Value>> {
        let page = call.id("pageId")?;
        let found = call
            .row("SELECT 1 FROM content_pages WHERE id = $1", [page.into()])
            .await?;
        found.ok_or_else(Fault::not_found)?;
        Ok(Map::from_iter([("pageId".to_owned(), json!(page))]))
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let editors: Vec<Uuid> = rows.iter().filter_map(|row| row.model.editor_id).collect();
        let cards = users::cards(call, &editors).await?;
        for row in rows {
            let editor = row.model.editor_id.and_then(|id| cards.get(&id));
            row.json.insert("editor".to_owned(), json!(editor));
        }
        Ok(())
    }
}

/// Keeps the present state of a page, whose row is locked, and drops what is older than the newest twenty.
///
/// # Errors
/// When the database refuses.
pub async fn add(call: &Call, page: &content_pages::Model) -> Result<()> {
    let sql = "WITH latest AS (\
                 SELECT coalesce(max(number), 0) AS number FROM content_revisions WHERE page_id = $2\
               ), gone AS (\
                 DELETE FROM content_revisions r USING latest l \
                 WHERE r.page_id = $2 AND r.number <= l.number + 1 - $6\
               ) INSERT INTO content_revisions (id, page_id, number, title, body, editor_id) \
               SELECT $1, $2, l.number + 1, $3, $4, $5 FROM latest l";
    let values = [
        Uuid::now_v7().into(),
        page.id.into(),
        page.title.clone().into(),
        page.body.clone().into(),
        call.caller().map(|caller| caller.id).into(),
        KEPT.into(),
    ];
    call.run(sql, values).await?;
    call.closing().watch("content_revisions");
    Ok(())
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    let path = "/content/pages/{pageId}/revisions/{id}/restore";
    vec![
        Route::post(path, "restore", restore)
            .who(&[Who::Staff])
            .returns(content_pages::Entity::ROW),
    ]
}

/// Writes a revision back to its page, as a new revision.
async fn restore(call: Call) -> Result<Answer> {
    let page = call.id("pageId")?.to_string();
    let before = show::find::<content_pages::Entity>(&call, &page, show::Lock::Update).await?;
    let sql = "SELECT title, body FROM content_revisions WHERE page_id = $1 AND id = $2";
    let revision = call.row(sql, [before.id.into(), call.id("id")?.into()]).await?;
    let revision = revision.ok_or_else(Fault::not_found)?;
    let values = Map::from_iter([
        ("title".to_owned(), json!(revision.try_get::<String>("", "title")?)),
        ("body".to_owned(), json!(revision.try_get::<String>("", "body")?)),
    ]);
    let after = update::write::<content_pages::Entity>(&call, &before, &values).await?;
    add(&call, &after).await?;
    update::answer::<content_pages::Entity>(&call, &before, after).await
}
