//! Pictures of products, the first one being the cover.

use fault::Fault;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::{
    products::{self, MERCHANTS},
    rows,
};
use crate::{
    http::{Call, Result, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Spec, embed},
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
        // The product is locked: two pictures at once cannot both be the eighth.
        let sql = "SELECT (SELECT mime_type FROM uploads WHERE id = $2) AS mime, count(i.id) AS images, max(i.position) AS last \
                   FROM ecommerce_products p LEFT JOIN ecommerce_product_images i ON i.product_id = p.id WHERE p.id = $1 GROUP BY p.id";
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

/// SQL for the content key of the cover of the product `p`.
pub(super) const COVER: &str = "(SELECT u.content_key FROM ecommerce_product_images m JOIN uploads u ON u.id = m.upload_id \
                                WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1)";

/// SQL for the pictures of the product `p` as JSON; [`shown`] makes them what products embed.
pub(super) fn column(call: &Call) -> String {
    format!(
        "(SELECT json_agg(json_build_array({}, content_key) ORDER BY position, id) FROM \
         (SELECT m.*, u.content_key FROM ecommerce_product_images m JOIN uploads u ON u.id = m.upload_id \
         WHERE m.product_id = p.id) AS image)",
        embed::row(&Entity::SPEC, call.is_staff())
    )
}

/// Pictures from [`column`] with their addresses.
pub(super) fn shown(call: &Call, images: Option<Value>) -> Value {
    let with_address = |mut image: Value| {
        let address = image[1].as_str().map(|key| address::of(call, key));
        let mut image = image[0].take();
        image["uploadUrl"] = json!(address);
        image
    };
    match images {
        Some(Value::Array(images)) => images.into_iter().map(with_address).collect(),
        _ => json!([]),
    }
}
