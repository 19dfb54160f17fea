//! Placing and paying orders. Everything is checked before anything is written.

use fault::Fault;
use rust_decimal::Decimal;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Source,
    coupons::{self, Claim},
    invalid_state, numbers,
    payments::{self, Charge, Charged},
    pricing::{self, Line, Totals},
};
use crate::{
    auth::Caller,
    http::{Call, Result},
    modules::core::{
        order_items,
        orders::{ActiveModel, Entity, Model},
    },
    resource::{update, value::instant},
    sandbox::card::{Card, Payment},
};

/// Who buys.
#[derive(Clone, Debug)]
pub struct Buyer {
    /// The user.
    pub id: Uuid,
    /// As it will stand on the order.
    pub name: String,
    /// As it will stand on the order.
    pub email: String,
}

impl From<&Caller> for Buyer {
    fn from(caller: &Caller) -> Self {
        Self {
            id: caller.id,
            name: caller.name.clone(),
            email: caller.email.clone(),
        }
    }
}

/// What is bought, by whom, on which terms.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// The selling module.
    pub source: Source,
    /// Who buys.
    pub buyer: Buyer,
    /// What is bought; a subtotal of 0.00 makes no order, so do not come here with one.
    pub lines: Vec<Line>,
    /// The coupon, from [`coupons::claim`] over the same lines.
    pub coupon: Option<Claim>,
    /// 0.00 where nothing is shipped.
    pub shipping: Decimal,
    /// How it is paid.
    pub payment: Payment,
    /// What the buyer thinks it costs.
    pub expected_total: Option<Decimal>,
}

/// What became of a purchase.
#[derive(Debug)]
pub enum Placed {
    /// It is an order: paid, or pending when it is paid on delivery.
    Order(Box<Order>),
    /// The card declined. Nothing but the failed payment is written; the action answers with `Answer::refused` of this.
    Declined(Fault),
}

/// An order with its lines, in the order of the purchase.
#[derive(Clone, Debug)]
pub struct Order {
    /// The order.
    pub order: Model,
    /// Its lines.
    pub items: Vec<order_items::Model>,
}

/// Places an order: totals, payment, lines, coupon. Call it when the module's own rules have passed and before the
/// module writes anything, because a declined card must leave nothing behind.
///
/// # Errors
/// 409 `TOTAL_CHANGED`, 409 `ROW_LIMIT_REACHED`.
pub async fn place(call: &Call, purchase: Purchase) -> Result<Placed> {
    let discount = purchase.coupon.as_ref().map_or(Decimal::ZERO, |claim| claim.discount);
    let tax_rate = pricing::tax_rate(call).await?;
    let totals = Totals::of(
        pricing::subtotal(&purchase.lines),
        discount,
        purchase.shipping,
        tax_rate,
    );
    totals.expect(purchase.expected_total)?;
    // A total of 0.00 is paid at once, without an intent and whatever the card.
    let card = match &purchase.payment {
        Payment::Card(card) if !totals.total.is_zero() => Some(card.clone()),
        Payment::Card(_) | Payment::OnDelivery => None,
    };
    if let Some(card) = card.as_ref().filter(|card| card.decline.is_some()) {
        let failed = charge(&purchase, None, totals.total, card, "A declined purchase".to_owned());
        return match payments::charge(call, failed).await? {
            Charged::Declined(fault) => Ok(Placed::Declined(fault)),
            Charged::Paid(_) => Err(Fault::internal("a declining card paid").into()),
        };
    }
    for table in ["orders", "order_items"] {
        call.closing().watch(table);
    }
    let is_paid = card.is_some() || totals.total.is_zero();
    let order = insert(call, &purchase, &totals, is_paid).await?;
    let items = insert_items(call, order.id, &purchase.lines).await?;
    if let Some(card) = &card {
        let description = format!("Order {}", order.number);
        payments::write(call, charge(&purchase, Some(order.id), totals.total, card, description)).await?;
    }
    if let Some(claim) = &purchase.coupon {
        coupons::redeem(call, claim, order.id, purchase.buyer.id);
    }
    Ok(Placed::Order(Box::new(Order { order, items })))
}

fn charge<'a>(
    purchase: &Purchase,
    order: Option<Uuid>,
    amount: Decimal,
    card: &'a Card,
    description: String,
) -> Charge<'a> {
    Charge {
        purpose: "order",
        order,
        user: Some(purchase.buyer.id),
        amount,
        description: Some(description),
        card,
    }
}

async fn insert(call: &Call, purchase: &Purchase, totals: &Totals, is_paid: bool) -> Result<Model> {
    let row = ActiveModel {
        id: Set(Uuid::now_v7()),
        number: Set(format!("ORD-{}", numbers::next(call, "orders").await?)),
        user_id: Set(Some(purchase.buyer.id)),
        customer_name: Set(purchase.buyer.name.clone()),
        email: Set(purchase.buyer.email.clone()),
        source: Set(purchase.source.as_str().to_owned()),
        status: Set(if is_paid { "paid" } else { "pending" }.to_owned()),
        currency: Set(call.tenant().currency.clone()),
        subtotal: Set(totals.subtotal),
        discount: Set(totals.discount),
        shipping: Set(totals.shipping),
        tax: Set(totals.tax),
        total: Set(totals.total),
        refunded_total: Set(Decimal::ZERO),
        coupon_id: Set(purchase.coupon.as_ref().map(|claim| claim.coupon)),
        coupon_code: Set(purchase.coupon.as_ref().map(|claim| claim.code.clone())),
        paid_at: Set(is_paid.then(|| call.now())),
        cancelled_at: Set(None),
        created_at: Set(call.now()),
        updated_at: Set(call.now()),
    };
    Ok(Entity::insert(row).exec_with_returning(call.tx()).await?)
}

async fn insert_items(call: &Call, order: Uuid, lines: &[Line]) -> Result<Vec<order_items::Model>> {
    let rows = (0_i32..).zip(lines).map(|(position, line)| order_items::Model {
        id: Uuid::now_v7(),
        order_id: order,
        kind: line.kind.as_str().to_owned(),
        ref_id: Some(line.ref_id),
        title: line.title.chars().take(200).collect(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        line_total: line.total(),
        position,
        created_at: call.now(),
        updated_at: call.now(),
    });
    let items: Vec<order_items::Model> = rows.collect();
    let rows = items.iter().cloned().map(order_items::ActiveModel::from);
    // `from` marks every column as unchanged; an insert wants them set.
    let rows = rows.map(sea_orm::ActiveModelTrait::reset_all);
    order_items::Entity::insert_many(rows)
        .exec_without_returning(call.tx())
        .await?;
    Ok(items)
}

/// A pending order was paid outside the card flow, on delivery say; no intent is made. `order` must be locked.
///
/// # Errors
/// 409 `INVALID_STATE` when it is not pending.
pub async fn mark_paid(call: &Call, order: &Model) -> Result<Model> {
    if order.status != "pending" {
        return Err(invalid_state("Only a pending order can be paid.").into());
    }
    update::write::<Entity>(call, order, &paid(call)).await
}

/// What a pending order becomes.
fn paid(call: &Call) -> Map<String, Value> {
    Map::from_iter([
        ("status".to_owned(), json!("paid")),
        ("paidAt".to_owned(), json!(instant(call.now()))),
    ])
}

/// What became of paying a pending order.
#[derive(Debug)]
pub enum Paid {
    /// It is paid now.
    Order(Box<Model>),
    /// The card declined; the order is still pending. The action answers with `Answer::refused` of this.
    Declined(Fault),
}

/// Takes the card payment for a pending order. `order` must be locked.
///
/// # Errors
/// 409 `INVALID_STATE` when it is not pending.
pub async fn pay(call: &Call, order: &Model, card: &Card) -> Result<Paid> {
    if order.status != "pending" {
        return Err(invalid_state(format!(
            "This order is {}; only a pending one can be paid.",
            order.status
        ))
        .into());
    }
    let charge = Charge {
        purpose: "order",
        order: Some(order.id),
        user: order.user_id,
        amount: order.total,
        description: Some(format!("Order {}", order.number)),
        card,
    };
    match payments::charge(call, charge).await? {
        Charged::Declined(fault) => Ok(Paid::Declined(fault)),
        Charged::Paid(_) => {
            let after = update::write_later::<Entity>(call, order, &paid(call))?;
            Ok(Paid::Order(Box::new(after)))
        }
    }
}
