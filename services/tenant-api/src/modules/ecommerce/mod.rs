//! The online shop.

pub mod cart;
pub mod categories;
pub mod checkout;
pub mod customers;
pub mod fulfilment;
mod order_lines;
pub mod orders;
pub mod part;
pub mod product_images;
pub mod products;
pub mod reviews;
pub mod sellers;
pub mod stock;
pub mod stock_movements;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value as Sql, prelude::Uuid, sea_query::ArrayType};

use crate::{
    http::{Call, Result, Routes},
    resource::routes as standard,
};

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("ecommerce", "/api/v1/ecommerce")
        .with("categories", standard::<categories::Entity>())
        .with("products", standard::<products::Entity>())
        .with("products", products::actions())
        .with("product-images", standard::<product_images::Entity>())
        .with("stock-movements", standard::<stock_movements::Entity>())
        .with("cart", cart::routes())
        .with("cart", checkout::routes())
        .with("orders", standard::<orders::Entity>())
        .with("orders", fulfilment::routes())
        .with("customers", standard::<customers::Entity>())
        .with("reviews", standard::<reviews::Entity>())
        .with("reviews", reviews::actions())
        .with("sellers", standard::<sellers::Entity>())
        .with("sellers", sellers::actions())
}

/// A statement with its values.
fn statement(sql: &str, values: Vec<Sql>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// The rows of a statement.
async fn rows(call: &Call, sql: &str, values: Vec<Sql>) -> Result<Vec<QueryResult>> {
    Ok(call.tx().query_all_raw(statement(sql, values)).await?)
}

/// Ids as one array parameter, so that a statement's text does not depend on how many there are.
fn uuids(ids: &[Uuid]) -> Sql {
    Sql::Array(
        ArrayType::Uuid,
        Some(Box::new(ids.iter().map(|id| (*id).into()).collect())),
    )
}
