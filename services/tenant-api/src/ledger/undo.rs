//! Taking purchases back: cancelling what is pending, refunding what is paid. Refunds never exceed what was paid, and
//! the use of a coupon is given back with the whole order.

use rust_decimal::Decimal;
use sea_orm::FromQueryResult;
use serde_json::json;
use uuid::Uuid;

use super::{coupons, invalid_state};
use crate::{
    http::{Call, Result},
    modules::core::orders::Model,
    resource::value::money,
};

/// A purchase that was taken back.
#[derive(Clone, Debug)]
pub struct Undone {
    /// The order as it is now.
    pub order: Model,
    /// What was given back just now; 0.00 when it was not paid.
    pub refunded: Decimal,
}

/// Takes whole purchases back, for modules that undo their own side in the same transaction: a pending order is
/// cancelled, what is left of a paid one is refunded, one that is cancelled or refunded already stays as it is. Orders
/// come back sorted by id.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub async fn undo(call: &Call, orders: &[Uuid], reason: &str) -> Result<Vec<Undone>> {
    let all: Vec<_> = orders.iter().map(|order| (*order, None)).collect();
    take_back(call, &all, reason).await
}

/// Cancels a pending order.
///
/// # Errors
/// 409 `INVALID_STATE` when it is not pending.
pub async fn cancel(call: &Call, order: Uuid) -> Result<Model> {
    let sql = "UPDATE orders SET status = 'cancelled', cancelled_at = $2, updated_at = $2 \
               WHERE status = 'pending' AND id = $1 RETURNING *";
    let row = call.row(sql, [order.into(), call.now().into()]).await?;
    let row = row.ok_or_else(|| invalid_state("Only a pending order can be cancelled."))?;
    let order = Model::from_query_result(&row, "")?;
    give_back(call, [&order]);
    Ok(order)
}

/// Gives money back, `amount` or all that is left. `order` must be locked.
///
/// # Errors
/// 409 `INVALID_STATE` when nothing was paid or nothing is left, 422 when `amount` is more than what is left.
pub async fn refund(call: &Call, order: &Model, amount: Option<Decimal>, reason: &str) -> Result<Undone> {
    let left = left(order);
    if !matches!(order.status.as_str(), "paid" | "partially_refunded") || left.is_zero() {
        return Err(invalid_state(format!(
            "This order is {}: there is nothing to give back.",
            order.status
        ))
        .into());
    }
    let amount = amount.unwrap_or(left);
    if amount > left {
        let must = format!("must be at most {}: so much is left of the order", money(left));
        return Err(fault::Fault::field("amount", must).into());
    }
    let undone = take_back(call, &[(order.id, Some(amount))], reason).await?.pop();
    Ok(undone.ok_or_else(|| invalid_state("This order changed at this moment."))?)
}

/// What can still be given back.
fn left(order: &Model) -> Decimal {
    order.total - order.refunded_total
}

/// Cancels what is pending, and of what is paid gives back the amount, or all that is left.
async fn take_back(call: &Call, orders: &[(Uuid, Option<Decimal>)], reason: &str) -> Result<Vec<Undone>> {
    let sql = "WITH wanted AS (SELECT * FROM jsonb_to_recordset($1) AS w(id uuid, sale uuid, amount numeric)), \
               before AS (SELECT o.id, o.status, w.id AS refund, \
                   CASE WHEN o.status IN ('paid', 'partially_refunded') \
                     THEN coalesce(w.amount, o.total - o.refunded_total) ELSE 0 END AS amount \
                 FROM orders o JOIN wanted w ON w.sale = o.id ORDER BY o.id FOR UPDATE OF o), \
               noted AS (INSERT INTO refunds (id, order_id, payment_id, amount, reason, created_by_id, created_at, \
                   updated_at) \
                 SELECT b.refund, b.id, (SELECT p.id FROM payments p WHERE p.order_id = b.id AND \
                   p.status = 'succeeded' ORDER BY p.created_at DESC LIMIT 1), b.amount, $2, $3, $4, $4 \
                 FROM before b WHERE b.amount > 0) \
               UPDATE orders o SET refunded_total = o.refunded_total + b.amount, \
                 status = CASE WHEN b.status = 'pending' THEN 'cancelled' \
                   WHEN b.status NOT IN ('paid', 'partially_refunded') THEN b.status \
                   WHEN o.refunded_total + b.amount = o.total THEN 'refunded' ELSE 'partially_refunded' END, \
                 cancelled_at = CASE WHEN b.status = 'pending' THEN $4 ELSE o.cancelled_at END, \
                 updated_at = CASE WHEN b.status IN ('cancelled', 'refunded') THEN o.updated_at ELSE $4 END \
               FROM before b WHERE o.id = b.id RETURNING o.*, b.amount AS given";
    let wanted: Vec<_> = orders
        .iter()
        .map(|(order, amount)| json!({"id": Uuid::now_v7(), "sale": order, "amount": amount.map(money)}))
        .collect();
    let reason: String = reason.chars().take(200).collect();
    let by = call.caller().map(|caller| caller.id);
    let values = [json!(wanted).into(), reason.into(), by.into(), call.now().into()];
    let mut undone = Vec::new();
    for row in call.rows(sql, values).await? {
        undone.push(Undone {
            order: Model::from_query_result(&row, "")?,
            refunded: row.try_get("", "given")?,
        });
    }
    undone.sort_by_key(|undone| undone.order.id);
    call.closing().watch("refunds");
    give_back(call, undone.iter().map(|undone| &undone.order));
    Ok(undone)
}

/// Gives back the coupons of those that are taken back whole.
fn give_back<'a>(call: &Call, orders: impl IntoIterator<Item = &'a Model>) {
    let with_coupon: Vec<Uuid> = orders
        .into_iter()
        .filter(|order| order.coupon_id.is_some() && matches!(order.status.as_str(), "cancelled" | "refunded"))
        .map(|order| order.id)
        .collect();
    if !with_coupon.is_empty() {
        coupons::give_back(call, &with_coupon);
    }
}
