//! Lines of shop orders, beside the ledger's lines that they belong to.

use crate::resource::{Field, Shape, embed};

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

/// SQL for the lines of the ledger's order `o` as JSON, in its order: all of them, or those of the seller `$2` where the
/// order is not that of the user `$3`.
pub(super) fn column() -> String {
    format!(
        "(SELECT json_agg({} ORDER BY position, line_id) FROM (SELECT l.*, i.id AS line_id, i.position, i.title, i.sku, \
         i.quantity, i.unit_price, i.line_total FROM ecommerce_order_items l JOIN order_items i ON i.id = l.order_item_id \
         WHERE i.order_id = o.id AND ($2::uuid IS NULL OR o.user_id = $3 OR l.seller_id = $2)) AS line)",
        embed::object(LINE.fields)
    )
}
