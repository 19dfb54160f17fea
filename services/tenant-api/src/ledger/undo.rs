//! Taking purchases back: cancelling what is pending, refunding what is paid. Refunds never exceed what was paid, and
//! the use of a coupon is given back with the whole order.

use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use super::{coupons, invalid_state};
use crate::{
    http::{Call, Result},
    modules::core::orders::{Column, Entity, Model},
    resource::{
        precheck,
        value::{money, uuids},
    },
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
    let before = Entity::find()
        .filter(Column::Id.is_in(orders.iter().copied()))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(call.tx())
        .await?;
    let is_paid = |order: &&Model| matches!(order.status.as_str(), "paid" | "partially_refunded");
    let pending: Vec<Uuid> = before
        .iter()
        .filter(|order| order.status == "pending")
        .map(|order| order.id)
        .collect();
    let paid: Vec<(&Model, Decimal)> = before
        .iter()
        .filter(is_paid)
        .map(|order| (order, left(order)))
        .collect();

    let mut after = cancel_all(call, &pending).await?;
    after.extend(give(call, &paid, reason).await?);
    let now = |order: &Model| after.iter().find(|after| after.id == order.id).unwrap_or(order).clone();
    let undone = before.iter().map(|order| Undone {
        refunded: if is_paid(&order) { left(order) } else { Decimal::ZERO },
        order: now(order),
    });
    Ok(undone.collect())
}

/// Cancels a pending order.
///
/// # Errors
/// 409 `INVALID_STATE` when it is not pending.
pub async fn cancel(call: &Call, order: Uuid) -> Result<Model> {
    let cancelled = cancel_all(call, &[order]).await?.pop();
    cancelled.ok_or_else(|| invalid_state("Only a pending order can be cancelled.").into())
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
    let after = give(call, &[(order, amount)], reason).await?.pop();
    Ok(Undone {
        order: after.ok_or_else(|| invalid_state("This order changed at this moment."))?,
        refunded: amount,
    })
}

/// What can still be given back.
fn left(order: &Model) -> Decimal {
    order.total - order.refunded_total
}

async fn cancel_all(call: &Call, orders: &[Uuid]) -> Result<Vec<Model>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "UPDATE orders SET status = 'cancelled', cancelled_at = $2, updated_at = $2 \
               WHERE status = 'pending' AND id = ANY ($1) RETURNING *";
    let cancelled = changed(call, sql, [uuids(orders), call.now().into()]).await?;
    give_back(call, cancelled.iter()).await?;
    Ok(cancelled)
}

/// Writes refunds of locked orders. An order of 0.00 becomes refunded without one.
async fn give(call: &Call, refunds: &[(&Model, Decimal)], reason: &str) -> Result<Vec<Model>> {
    if refunds.is_empty() {
        return Ok(Vec::new());
    }
    precheck::rooms(call, &[("refunds", refunds.len() as u64)]).await?;
    let sql = "WITH given AS (SELECT * FROM jsonb_to_recordset($1) AS g(id uuid, sale uuid, amount numeric)), \
               noted AS (INSERT INTO refunds (id, order_id, payment_id, amount, reason, created_by_id, created_at, \
                   updated_at) \
                 SELECT id, sale, (SELECT p.id FROM payments p WHERE p.order_id = sale AND p.status = 'succeeded' \
                   ORDER BY p.created_at DESC LIMIT 1), amount, $2, $3, $4, $4 FROM given WHERE amount > 0) \
               UPDATE orders SET refunded_total = refunded_total + amount, updated_at = $4, \
                 status = CASE WHEN refunded_total + amount = total THEN 'refunded' ELSE 'partially_refunded' END \
               FROM given WHERE orders.id = sale RETURNING orders.*";
    let given: Vec<_> = refunds
        .iter()
        .map(|(order, amount)| json!({"id": Uuid::now_v7(), "sale": order.id, "amount": money(*amount)}))
        .collect();
    let reason: String = reason.chars().take(200).collect();
    let by = call.caller().map(|caller| caller.id);
    let values = [json!(given).into(), reason.into(), by.into(), call.now().into()];
    let after = changed(call, sql, values).await?;
    give_back(call, after.iter().filter(|order| order.status == "refunded")).await?;
    Ok(after)
}

async fn changed(
    call: &Call,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value> + Send,
) -> Result<Vec<Model>> {
    let rows = call.rows(sql, values).await?;
    Ok(rows
        .iter()
        .map(|row| Model::from_query_result(row, ""))
        .collect::<Result<_, _>>()?)
}

async fn give_back(call: &Call, orders: impl Iterator<Item = &Model>) -> Result<()> {
    let with_coupon: Vec<Uuid> = orders
        .filter(|order| order.coupon_id.is_some())
        .map(|order| order.id)
        .collect();
    if with_coupon.is_empty() {
        return Ok(());
    }
    coupons::give_back(call, &with_coupon).await
}
