//! Lines of shop orders, beside the ledger's lines that they belong to.

use std::collections::HashMap;

use sea_orm::{
    FromQueryResult,
    prelude::{DateTimeUtc, Decimal, Uuid},
};
use serde_json::{Value, json};

use super::{rows, uuids};
use crate::{
    http::{Call, Result},
    resource::{
        Field, Shape,
        value::{instant, money},
    },
};

/// A line with what the ledger says of it.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Line {
    pub id: Uuid,
    pub shop_order_id: Uuid,
    pub order_item_id: Uuid,
    pub product_id: Option<Uuid>,
    pub seller_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i32,
    pub unit_price: Decimal,
    pub line_total: Decimal,
}

/// A line as orders embed it.
pub(super) const LINE: Shape = Shape::of(
    "OrderLine",
    &[
        Field::uuid("id").required(),
        Field::uuid("shopOrderId").required(),
        Field::uuid("orderItemId").required(),
        Field::uuid("productId"),
        Field::uuid("sellerId"),
        Field::timestamp("createdAt").required(),
        Field::timestamp("updatedAt").required(),
        Field::text("title", "200").required(),
        Field::text("sku", "40"),
        Field::int("quantity").required(),
        Field::money("unitPrice").required(),
        Field::money("lineTotal").required(),
    ],
);

impl Line {
    /// As a [`LINE`].
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "shopOrderId": self.shop_order_id,
            "orderItemId": self.order_item_id,
            "productId": self.product_id,
            "sellerId": self.seller_id,
            "createdAt": instant(self.created_at),
            "updatedAt": instant(self.updated_at),
            "title": self.title,
            "sku": self.sku,
            "quantity": self.quantity,
            "unitPrice": money(self.unit_price),
            "lineTotal": money(self.line_total),
        })
    }
}

/// The lines of orders, by order, in the order of the ledger.
///
/// # Errors
/// When the database refuses.
pub(super) async fn of(call: &Call, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<Line>>> {
    let sql = "SELECT l.*, i.title, i.sku, i.quantity, i.unit_price, i.line_total FROM ecommerce_order_items l \
               JOIN order_items i ON i.id = l.order_item_id WHERE l.shop_order_id = ANY($1) ORDER BY i.position, i.id";
    let mut lines: HashMap<Uuid, Vec<Line>> = HashMap::new();
    for row in rows(call, sql, vec![uuids(orders)]).await? {
        let line = Line::from_query_result(&row, "")?;
        lines.entry(line.shop_order_id).or_default().push(line);
    }
    Ok(lines)
}
