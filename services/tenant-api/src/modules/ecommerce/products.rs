//! Products: the catalogue, their stock, who may sell them.

use std::collections::HashMap;

use fault::{Code, Fault, Kind, codes};
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait, QueryFilter, QuerySelect,
    prelude::{DateTimeUtc, Decimal, Uuid},
    sea_query::{Expr, ExprTrait, LockType},
};
use serde_json::{Map, Value, json};

use super::{categories, product_images, sellers, stock, uuids};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{
        self, Change, Field, ListSpec, Operations, Resource, Row, Spec, permit::permit, present, show, spec::columns,
        update,
    },
    sandbox::address,
};

/// The most pieces of one product.
const MOST: i32 = 100_000;
/// Less stock than asked for.
pub const OUT_OF_STOCK: Code = Code::new("OUT_OF_STOCK", Kind::Conflict);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_products")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub sku: String,
    pub slug: String,
    pub name: String,
    pub summary: Option<String>,
    pub description: Option<String>,
    pub category_id: Uuid,
    pub seller_id: Option<Uuid>,
    pub price: Decimal,
    pub compare_at_price: Option<Decimal>,
    pub stock: i32,
    pub low_stock_at: i32,
    pub status: String,
    pub is_featured: bool,
    pub rating_average: Decimal,
    pub rating_count: i32,
    pub sold_count: i32,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Staff, and the seller of the row.
pub(super) const MERCHANTS: Option<&[Who]> = Some(&[Who::Staff, Who::Module("seller")]);
const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "products",
        path: "/products",
        table: "ecommerce_products",
        owner: None,
        fields: &[
            Field::text("sku", "40").required().pattern("[A-Za-z0-9._-]{2,40}"),
            Field::slug("slug"),
            Field::text("name", "160").required(),
            Field::text("summary", "300"),
            Field::markdown("description", "20000"),
            Field::reference("categoryId", "ecommerce_categories").required(),
            Field::reference("sellerId", "ecommerce_sellers").by_staff(),
            Field::money("price").required().min("0"),
            Field::money("compareAtPrice").min("0"),
            Field::int("stock").default("0").min("0").max("100000").create_only(),
            Field::int("lowStockAt").default("5").min("0").max("100000"),
            Field::one_of("status", &["draft", "active", "archived"]).default("\"draft\""),
            Field::bool("isFeatured").default("false").by_staff(),
            Field::decimal("ratingAverage", 2).default("\"0.00\"").server(),
            Field::int("ratingCount").default("0").server(),
            Field::int("soldCount").default("0").server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["categoryId", "sellerId", "status", "isFeatured"],
            ranges: &["price", "ratingAverage"],
            params: &[
                Field::slug("category"),
                Field::bool("inStock"),
                Field::bool("lowStock").by_staff(),
            ],
            sort: &["name", "price", "createdAt", "ratingAverage", "soldCount", "stock"],
            default_sort: "-createdAt",
            search: &["name", "sku", "summary", "description"],
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: MERCHANTS,
            update: MERCHANTS,
            delete: MERCHANTS,
        },
    };

    const COMPUTED: &'static [Field] = &[
        Field::currency("currency").required(),
        Field::text("imageUrl", "300"),
        Field::bool("inStock").required(),
        Field::bool("isLowStock").required(),
        Field::object("category", categories::Entity::ROW).required(),
        Field::object("seller", sellers::Entity::ROW),
    ];
    const EMBEDS: &'static [Field] =
        &[Field::array("images", &resource::Kind::Object(product_images::Entity::ROW)).required()];

    async fn visible(call: &Call) -> Result<Condition> {
        if call.is_staff() {
            return Ok(Condition::all());
        }
        let own = sellers::of_caller(call)
            .await?
            .map(|seller| Column::SellerId.eq(seller));
        Ok(Condition::any().add(Column::Status.eq("active")).add_option(own))
    }

    async fn narrow(call: &Call, params: &Map<String, Value>) -> Result<Condition> {
        let mut all = Condition::all();
        if let Some(slug) = params.get("category").and_then(Value::as_str) {
            let within = "\"ecommerce_products\".\"category_id\" IN (SELECT c.id FROM ecommerce_categories c \
                          LEFT JOIN ecommerce_categories p ON p.id = c.parent_id WHERE c.slug = $1 OR p.slug = $1)";
            all = all.add(Expr::cust_with_values(within, [slug]));
        }
        if let Some(in_stock) = params.get("inStock").and_then(Value::as_bool) {
            all = all.add(if in_stock {
                Column::Stock.gt(0)
            } else {
                Column::Stock.eq(0)
            });
        }
        if let Some(low) = params.get("lowStock").and_then(Value::as_bool) {
            if !call.is_staff() {
                return Err(Fault::new(codes::FORBIDDEN, "Your role does not allow you to ask for lowStock.").into());
            }
            let is_low = Expr::cust("\"ecommerce_products\".\"stock\" <= \"ecommerce_products\".\"low_stock_at\"");
            all = all.add(if low { is_low } else { is_low.not() });
        }
        Ok(all)
    }

    async fn holds(call: &Call, _role: &'static str, row: Option<&Model>) -> Result<bool> {
        let own = sellers::of_caller(call).await?;
        Ok(own.is_some() && row.is_none_or(|row| row.seller_id == own))
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let amount = |name: &str, now: Option<Decimal>| match change.values.get(name) {
            Some(value) => value.as_str().and_then(|text| text.parse().ok()),
            None => now,
        };
        let price: Option<Decimal> = amount("price", change.before.map(|row| row.price));
        let compare: Option<Decimal> = amount("compareAtPrice", change.before.and_then(|row| row.compare_at_price));
        if compare.is_some_and(|compare| Some(compare) <= price) {
            return Err(Fault::field("compareAtPrice", "must be above price").into());
        }
        if !call.is_staff() {
            sellers::must_stay_approved(call)?;
            if change.is_create() {
                change.set("sellerId", json!(sellers::of_caller(call).await?));
            }
        }
        Ok(())
    }

    async fn written(call: &Call, before: Option<&Model>, after: &Model) -> Result<()> {
        if before.is_none() && after.stock > 0 {
            let initial = stock::Movement {
                product: after.id,
                reason: "initial",
                delta: after.stock,
                after: after.stock,
                order: None,
                note: None,
            };
            stock::note(call, &[initial]);
        }
        Ok(())
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], whole: bool) -> Result<()> {
        for row in &mut *rows {
            let model = &row.model;
            row.json.insert("currency".to_owned(), json!(call.tenant().currency));
            row.json.insert("inStock".to_owned(), json!(model.stock > 0));
            row.json
                .insert("isLowStock".to_owned(), json!(model.stock <= model.low_stock_at));
        }
        embed(call, rows, whole).await
    }
}

/// Embeds cover, category and seller (in lists too) and, in whole rows, the images; all in one statement.
async fn embed(call: &Call, rows: &mut [Row<Entity>], whole: bool) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let images = if whole {
        product_images::column(call)
    } else {
        "NULL::json".to_owned()
    };
    let sql = format!(
        "WITH counts AS MATERIALIZED (SELECT c.id, {} AS products FROM ecommerce_categories c \
           WHERE c.id IN (SELECT category_id FROM ecommerce_products WHERE id = ANY ($1))) \
         SELECT p.id, {} AS cover, {images} AS images, counts.products AS category_products, \
           ci.content_key AS category_key, si.content_key AS seller_key, {}, {} \
         FROM ecommerce_products p JOIN ecommerce_categories c ON c.id = p.category_id JOIN counts ON counts.id = c.id \
         LEFT JOIN uploads ci ON ci.id = c.image_id LEFT JOIN ecommerce_sellers s ON s.id = p.seller_id \
         LEFT JOIN uploads si ON si.id = s.logo_id WHERE p.id = ANY ($1)",
        categories::PRODUCTS,
        product_images::COVER,
        columns::<categories::Entity>("c", "category_"),
        columns::<sellers::Entity>("s", "seller_"),
    );
    let ids: Vec<Uuid> = rows.iter().map(|row| row.model.id).collect();
    let found = call.rows(&sql, [uuids(&ids)]).await?;
    let mut by_id = HashMap::new();
    for found in &found {
        by_id.insert(found.try_get::<Uuid>("", "id")?, found);
    }
    for row in rows {
        let Some(found) = by_id.get(&row.model.id) else {
            continue;
        };
        let cover: Option<String> = found.try_get("", "cover")?;
        let cover = cover.map(|key| address::of(call, &key));
        row.json.insert("imageUrl".to_owned(), json!(cover));
        row.json
            .insert("category".to_owned(), categories::card(call, found).await?);
        row.json
            .insert("seller".to_owned(), json!(sellers::card(call, found).await?));
        if whole {
            let images = product_images::shown(call, found.try_get("", "images")?);
            row.json.insert("images".to_owned(), images);
        }
    }
    Ok(())
}

/// Routes besides the standard ones.
#[must_use]
pub fn actions() -> Vec<Route> {
    const BODY: &[Field] = &[
        Field::int("delta").required().min("-100000").max("100000"),
        Field::text("note", "200"),
        Field::int("version"),
    ];
    vec![
        Route::post("/products/{id}/stock", "adjust-stock", adjust_stock)
            .who(&[Who::Staff, Who::Module("seller")])
            .body(BODY)
            .returns(Entity::ROW)
            .errors(&[OUT_OF_STOCK, codes::VERSION_CONFLICT]),
    ]
}

/// Changes the stock in one step; parallel calls all count.
async fn adjust_stock(call: Call) -> Result<Answer> {
    let delta = i32::try_from(call.body().get("delta").and_then(Value::as_i64).unwrap_or(0)).unwrap_or(0);
    if delta == 0 {
        return Err(Fault::field("delta", "must not be 0").into());
    }
    let before = show::find::<Entity>(&call, call.parameter("id"), show::Lock::Update).await?;
    permit::<Entity>(&call, Some(&before)).await?;
    update::check_version::<Entity>(&before, call.body().get("version"))?;
    let after = before.stock.saturating_add(delta);
    if after < 0 {
        return Err(out_of_stock("quantity", &before.name, before.stock).into());
    }
    if after > MOST {
        return Err(Fault::field("delta", format!("would take the stock above {MOST}")).into());
    }
    let stock = Map::from_iter([("stock".to_owned(), json!(after))]);
    let row = update::write_later::<Entity>(&call, &before, &stock)?;
    let adjustment = stock::Movement {
        product: row.id,
        reason: "adjustment",
        delta,
        after,
        order: None,
        note: call.body().get("note").and_then(Value::as_str),
    };
    stock::note(&call, &[adjustment]);
    let level = stock::Level {
        slug: &row.slug,
        name: &row.name,
        before: before.stock,
        after,
        low_at: row.low_stock_at,
    };
    stock::warn(&call, &[level]).await?;
    update::answer::<Entity>(&call, &before, row).await
}

/// The refusal for less stock than asked for; the detail carries what is there.
#[must_use]
pub fn out_of_stock(field: impl Into<String>, name: &str, available: i32) -> Fault {
    Fault::new(OUT_OF_STOCK, format!("Only {available} of {name} are in stock.")).detail(field, available.to_string())
}

/// The product of the path, when the caller may see it; locked where something of it is written.
pub(super) async fn parent(call: &Call) -> Result<Model> {
    if let Some(product) = call.recall() {
        return Ok(product);
    }
    let id = call.id("productId")?;
    let mut product = Entity::find()
        .filter(Column::Id.eq(id))
        .filter(Entity::visible(call).await?);
    if call.route().is_write() {
        product = product.lock(LockType::NoKeyUpdate);
    }
    let product = product.one(call.tx()).await?;
    let product = product.ok_or_else(Fault::not_found)?;
    call.remember(product.clone());
    Ok(product)
}

/// Shows a product for another answer.
///
/// # Errors
/// When what belongs to it cannot be read.
pub async fn show(call: &Call, product: Model) -> Result<Value> {
    present::one::<Entity>(call, product).await
}
