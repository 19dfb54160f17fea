//! Pictures of products, the first one being the cover.

use std::collections::HashMap;

use fault::Fault;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, FromQueryResult,
    PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::{
    products::{self, MERCHANTS},
    rows, uuids,
};
use crate::{
    http::{Call, Result, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Spec, present},
    sandbox::address,
};

/// Pictures that one product may have.
const MOST: i64 = 8;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_product_images")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub product_id: Uuid,
    pub upload_id: Uuid,
    pub alt_text: Option<String>,
    pub position: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "product-images",
        path: "/products/{productId}/images",
        table: "ecommerce_product_images",
        owner: None,
        fields: &[
            Field::reference("productId", "ecommerce_products").required().server(),
            Field::reference("uploadId", "uploads").required().create_only(),
            Field::text("altText", "200"),
            Field::int("position").filled().min("0").max("99"),
        ],
        versioned: false,
        list: ListSpec {
            sort: &["position"],
            default_sort: "position",
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: Some(&[Who::Public]),
            get: None,
            create: MERCHANTS,
            update: MERCHANTS,
            delete: MERCHANTS,
        },
    };

    async fn parent(call: &Call) -> Result<Map<String, Value>> {
        let product = products::parent(call).await?;
        Ok(Map::from_iter([("productId".to_owned(), json!(product.id))]))
    }

    async fn holds(call: &Call, role: &'static str, _row: Option<&Model>) -> Result<bool> {
        let product = products::parent(call).await?;
        products::Entity::holds(call, role, Some(&product)).await
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        if !change.is_create() {
            return Ok(());
        }
        let (product, upload) = (change.id("productId"), change.id("uploadId"));
        // The product is locked, so that two pictures at once cannot both be the eighth.
        let sql = "WITH product AS (SELECT id FROM ecommerce_products WHERE id = $1 FOR UPDATE) \
                   SELECT (SELECT mime_type FROM uploads WHERE id = $2) AS mime, count(i.id) AS images, max(i.position) AS last \
                   FROM product LEFT JOIN ecommerce_product_images i ON i.product_id = product.id";
        let found = rows(call, sql, vec![product.into(), upload.into()]).await?;
        let row = found.first().ok_or_else(Fault::not_found)?;
        let mime: Option<String> = row.try_get("", "mime")?;
        if !mime.is_some_and(|mime| mime.starts_with("image/")) {
            return Err(Fault::field("uploadId", "must name an image").into());
        }
        if row.try_get::<i64>("", "images")? >= MOST {
            return Err(Fault::field("uploadId", format!("a product has at most {MOST} images")).into());
        }
        if change.int("position").is_none() {
            let last: Option<i32> = row.try_get("", "last")?;
            change.set("position", json!(last.map_or(0, |last| (last + 1).min(99))));
        }
        Ok(())
    }
}

/// Addresses of the covers of products, in one statement.
///
/// # Errors
/// When the database refuses.
pub(super) async fn covers(call: &Call, products: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    let sql = "SELECT DISTINCT ON (i.product_id) i.product_id, u.content_key FROM ecommerce_product_images i \
               JOIN uploads u ON u.id = i.upload_id WHERE i.product_id = ANY($1) ORDER BY i.product_id, i.position, i.id";
    let mut covers = HashMap::new();
    for row in rows(call, sql, vec![uuids(products)]).await? {
        let key: String = row.try_get("", "content_key")?;
        covers.insert(row.try_get("", "product_id")?, address::of(call, &key));
    }
    Ok(covers)
}

/// The pictures of one product as it embeds them, in one statement.
///
/// # Errors
/// When the database refuses.
pub(super) async fn of(call: &Call, product: Uuid) -> Result<Vec<Value>> {
    let sql = "SELECT i.*, u.content_key FROM ecommerce_product_images i JOIN uploads u ON u.id = i.upload_id \
               WHERE i.product_id = $1 ORDER BY i.position, i.id";
    let mut images = Vec::new();
    for row in rows(call, sql, vec![product.into()]).await? {
        let mut json = present::fields::<Entity>(call, &Model::from_query_result(&row, "")?).await?;
        let key: String = row.try_get("", "content_key")?;
        json.insert("uploadUrl".to_owned(), json!(address::of(call, &key)));
        images.push(Value::Object(json));
    }
    Ok(images)
}
