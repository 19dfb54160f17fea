//! Categories of the shop: two levels.

use std::collections::HashMap;

use fault::{Code, Fault, Kind};
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, FromQueryResult,
    PrimaryKeyTrait, QueryResult,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Value, json};

use super::{rows, uuids};
use crate::{
    http::{Call, Result, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Row, Spec, present},
    sandbox::address,
};

/// A parent that is itself a child, or a cycle.
const CATEGORY_DEPTH: Code = Code::new("CATEGORY_DEPTH", Kind::Invalid);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_categories")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub slug: String,
    pub description: Option<String>,
    pub parent_id: Option<Uuid>,
    pub image_id: Option<Uuid>,
    pub position: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const STAFF: Option<&[Who]> = Some(&[Who::Staff]);
const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "categories",
        path: "/categories",
        table: "ecommerce_categories",
        owner: None,
        fields: &[
            Field::text("name", "80").required(),
            Field::slug("slug"),
            Field::text("description", "400"),
            Field::reference("parentId", "ecommerce_categories"),
            Field::reference("imageId", "uploads"),
            Field::int("position").default("0").min("0").max("9999"),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["parentId"],
            sort: &["position", "name"],
            default_sort: "position",
            search: &["name", "description"],
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

    const COMPUTED: &'static [Field] = &[Field::int("productCount").required()];
    const CREATE_ERRORS: &'static [Code] = &[CATEGORY_DEPTH];
    const UPDATE_ERRORS: &'static [Code] = Self::CREATE_ERRORS;

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let Some(parent) = change.id("parentId") else {
            return Ok(());
        };
        let own = change.before.map(|row| row.id);
        // Locked, so that two changes at once cannot build a third level between them.
        let sql =
            "SELECT id, parent_id FROM ecommerce_categories WHERE id = $1 OR parent_id = $2 ORDER BY id FOR UPDATE";
        for row in rows(call, sql, vec![parent.into(), own.into()]).await? {
            let (id, above): (Uuid, Option<Uuid>) = (row.try_get("", "id")?, row.try_get("", "parent_id")?);
            if id == parent && above.is_some() || own.is_some() && above == own || own == Some(parent) {
                let message = "Categories have two levels: the parent must be a top category, and a category with children stays on top.";
                return Err(Fault::new(CATEGORY_DEPTH, message)
                    .detail("parentId", "must be a top category")
                    .into());
            }
        }
        Ok(())
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let sql = format!("SELECT c.id, {PRODUCTS} AS products FROM ecommerce_categories c WHERE c.id = ANY($1)");
        let ids: Vec<Uuid> = rows.iter().map(|row| row.model.id).collect();
        let mut counts: HashMap<Uuid, i64> = HashMap::new();
        for row in super::rows(call, &sql, vec![uuids(&ids)]).await? {
            counts.insert(row.try_get("", "id")?, row.try_get("", "products")?);
        }
        for row in rows {
            let count = counts.get(&row.model.id).copied().unwrap_or(0);
            row.json.insert("productCount".to_owned(), json!(count));
        }
        Ok(())
    }
}

/// How many active products there are in a category, its children included; `c` is the category.
pub(super) const PRODUCTS: &str = "(SELECT count(*) FROM ecommerce_products p JOIN ecommerce_categories i ON i.id = p.category_id \
                        WHERE p.status = 'active' AND (i.id = c.id OR i.parent_id = c.id))";

/// A category as other rows embed it, from columns that begin with `category_`; beside its own there are
/// `category_key`, its image's content key, and `category_products`, as [`PRODUCTS`] counts them.
pub(super) async fn card(call: &Call, row: &QueryResult) -> Result<Value> {
    let model = Model::from_query_result(row, "category_")?;
    let mut json = present::fields::<Entity>(call, &model).await?;
    let image: Option<String> = row.try_get("", "category_key")?;
    json.insert("imageUrl".to_owned(), json!(image.map(|key| address::of(call, &key))));
    let products: i64 = row.try_get("", "category_products")?;
    json.insert("productCount".to_owned(), json!(products));
    Ok(Value::Object(json))
}
