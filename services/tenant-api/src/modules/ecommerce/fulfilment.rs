//! The way of an order to its buyer: packed, shipped, delivered, cancelled, returned.

use fault::{Code, Fault, codes};
use sea_orm::prelude::{Decimal, Uuid};
use serde_json::{Map, Value, json};

use super::{
    customers,
    orders::{Entity, Model, invalid_state},
    rows, stock,
};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    ledger::{self, undo},
    modules::core::notifications::{To, notify},
    resource::{
        Field, Resource,
        permit::permit,
        show, update,
        value::{each_id, money},
    },
    sandbox::mail::{self, Mail},
};

const VERSION: Field = Field::int("version");

/// The routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const SHIP: &[Field] = &[
        Field::text("carrier", "60").required(),
        Field::text("trackingNumber", "60").required(),
        VERSION,
    ];
    const CANCEL: &[Field] = &[Field::text("reason", "200"), VERSION];
    const RETURN: &[Field] = &[
        Field::text("reason", "200").required(),
        Field::bool("restock").default("true"),
        VERSION,
    ];
    const REFUSALS: &[Code] = &[codes::INVALID_STATE, codes::VERSION_CONFLICT];
    vec![
        Route::post("/orders/{id}/process", "process", process)
            .who(&[Who::Staff])
            .body(&[VERSION])
            .returns(Entity::ROW)
            .errors(REFUSALS),
        Route::post("/orders/{id}/ship", "ship", ship)
            .who(&[Who::Staff])
            .body(SHIP)
            .returns(Entity::ROW)
            .errors(REFUSALS),
        Route::post("/orders/{id}/deliver", "deliver", deliver)
            .who(&[Who::Staff])
            .body(&[VERSION])
            .returns(Entity::ROW)
            .errors(REFUSALS),
        Route::post("/orders/{id}/cancel", "cancel", cancel)
            .who(&[Who::Owner, Who::Staff])
            .body(CANCEL)
            .returns(Entity::ROW)
            .errors(REFUSALS)
            .audited(),
        Route::post("/orders/{id}/return", "return", take_back)
            .who(&[Who::Staff])
            .body(RETURN)
            .returns(Entity::ROW)
            .errors(REFUSALS),
    ]
}

/// The order of the path, locked, when its state and version allow the step.
async fn locked(call: &Call, from: &[&str]) -> Result<Model> {
    let row = show::find::<Entity>(call, call.parameter("id"), show::Lock::Update).await?;
    permit::<Entity>(call, Some(&row)).await?;
    update::check_version::<Entity>(&row, call.body().get("version"))?;
    if !from.contains(&row.fulfilment.as_str()) {
        return Err(invalid_state(&row, from).into());
    }
    Ok(row)
}

async fn move_to(
    call: &Call,
    before: &Model,
    state: &str,
    more: impl IntoIterator<Item = (&str, Value)>,
) -> Result<Model> {
    let mut values = Map::from_iter([("fulfilment".to_owned(), json!(state))]);
    values.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    update::write::<Entity>(call, before, &values).await
}

fn text(call: &Call, name: &str) -> Option<String> {
    call.body().get(name).and_then(Value::as_str).map(str::to_owned)
}

fn now(call: &Call) -> Value {
    json!(crate::resource::value::instant(call.now()))
}

/// What mails and notifications say of an order.
struct Heading {
    number: String,
    email: String,
    name: String,
}

async fn heading(call: &Call, row: &Model) -> Result<Heading> {
    let found = rows(
        call,
        "SELECT number, email, customer_name FROM orders WHERE id = $1",
        vec![row.order_id.into()],
    )
    .await?;
    let order = found.first().ok_or_else(Fault::not_found)?;
    Ok(Heading {
        number: order.try_get("", "number")?,
        email: order.try_get("", "email")?,
        name: order.try_get("", "customer_name")?,
    })
}

async fn tell(call: &Call, row: &Model, heading: &Heading, word: &str) -> Result<()> {
    let Some(user) = row.user_id else { return Ok(()) };
    let title = format!("Order {} was {word}", heading.number);
    notify(
        call,
        To::Users(&[user]),
        "ecommerce.order-status",
        title,
        None,
        &format!("/shop/orders/{}", row.id),
    )
    .await
}

async fn write(
    call: &Call,
    row: &Model,
    heading: &Heading,
    template: &'static str,
    word: &str,
    lines: Vec<String>,
) -> Result<()> {
    let mail = Mail {
        to: &heading.email,
        name: Some(&heading.name),
        template,
        subject: format!("Order {} was {word}", heading.number),
        lines,
        action: Some(("See the order", format!("/shop/orders/{}", row.id))),
    };
    mail::send(call, mail).await
}

async fn process(call: Call) -> Result<Answer> {
    let before = locked(&call, &["unfulfilled"]).await?;
    let after = move_to(&call, &before, "processing", []).await?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn ship(call: Call) -> Result<Answer> {
    let before = locked(&call, &["unfulfilled", "processing"]).await?;
    let (carrier, number) = (text(&call, "carrier"), text(&call, "trackingNumber"));
    let more = [
        ("carrier", json!(carrier)),
        ("trackingNumber", json!(number)),
        ("shippedAt", now(&call)),
    ];
    let after = move_to(&call, &before, "shipped", more).await?;
    let heading = heading(&call, &after).await?;
    let lines = vec![format!(
        "{} is bringing your order. Tracking number: {}.",
        carrier.unwrap_or_default(),
        number.unwrap_or_default()
    )];
    write(&call, &after, &heading, "ecommerce.order-shipped", "shipped", lines).await?;
    tell(&call, &after, &heading, "shipped").await?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn deliver(call: Call) -> Result<Answer> {
    let before = locked(&call, &["shipped"]).await?;
    let after = move_to(&call, &before, "delivered", [("deliveredAt", now(&call))]).await?;
    // Paid at the door, unless it was paid by card on the way.
    let found = rows(
        &call,
        "SELECT status, total FROM orders WHERE id = $1 FOR UPDATE",
        vec![before.order_id.into()],
    )
    .await?;
    let order = found.first().ok_or_else(Fault::not_found)?;
    if order.try_get::<String>("", "status")? == "pending" {
        ledger::orders::mark_paid(&call, before.order_id).await?;
        customers::adjust(&call, before.user_id, order.try_get("", "total")?, 0).await?;
    }
    let heading = heading(&call, &after).await?;
    tell(&call, &after, &heading, "delivered").await?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn cancel(call: Call) -> Result<Answer> {
    let before = locked(&call, &["unfulfilled", "processing"]).await?;
    let reason = text(&call, "reason");
    let after = cancelled(&call, &before, reason.as_deref()).await?;
    undo_money(&call, &after, reason.as_deref().unwrap_or("The order was cancelled"), 1).await?;
    update::answer::<Entity>(&call, &before, after).await
}

/// The shop's side of a cancellation: state, stock, mail. The money is the caller's.
async fn cancelled(call: &Call, before: &Model, reason: Option<&str>) -> Result<Model> {
    let after = move_to(
        call,
        before,
        "cancelled",
        [("cancelledAt", now(call)), ("cancelReason", json!(reason))],
    )
    .await?;
    restock(call, after.id, "cancel").await?;
    let heading = heading(call, &after).await?;
    let lines = vec!["Your order was cancelled. What you paid was given back.".to_owned()];
    write(call, &after, &heading, "ecommerce.order-cancelled", "cancelled", lines).await?;
    tell(call, &after, &heading, "cancelled").await?;
    Ok(after)
}

/// Puts the goods of an order back, with a movement for each line, in one statement.
async fn restock(call: &Call, order: Uuid, reason: &'static str) -> Result<()> {
    let id = each_id("$5", "id::text");
    let sql = format!(
        "WITH back AS (SELECT l.product_id, i.quantity FROM ecommerce_order_items l JOIN order_items i ON i.id = l.order_item_id \
                 WHERE l.shop_order_id = $1 AND l.product_id IS NOT NULL), \
               locked AS (SELECT p.id, p.stock FROM ecommerce_products p JOIN back ON back.product_id = p.id ORDER BY p.id FOR UPDATE OF p), \
               changed AS (UPDATE ecommerce_products p SET stock = p.stock + back.quantity, sold_count = GREATEST(p.sold_count - back.quantity, 0), updated_at = $4 \
                 FROM back, locked WHERE p.id = back.product_id AND locked.id = p.id RETURNING p.id, back.quantity, p.stock) \
               INSERT INTO ecommerce_stock_movements (id, product_id, reason, delta, stock_after, shop_order_id, created_by_id) \
               SELECT {id}, id, $2, quantity, stock, $1, $3 FROM changed {}",
        stock::COUNT
    );
    let by = call.caller().map(|caller| caller.id);
    let values = vec![
        order.into(),
        reason.into(),
        by.into(),
        call.now().into(),
        Uuid::now_v7().to_string().into(),
    ];
    stock::fits(call, &rows(call, &sql, values).await?).await
}

/// Takes the purchase back in the ledger and in the customer's record; `orders` no longer count there.
async fn undo_money(call: &Call, row: &Model, reason: &str, orders: i32) -> Result<Decimal> {
    let undone = undo::undo(call, &[row.order_id], reason).await?;
    let refunded: Decimal = undone.iter().map(|undone| undone.refunded).sum();
    customers::adjust(call, row.user_id, -refunded, -orders).await?;
    Ok(refunded)
}

async fn take_back(call: Call) -> Result<Answer> {
    let before = locked(&call, &["shipped", "delivered"]).await?;
    let reason = text(&call, "reason").unwrap_or_default();
    let after = move_to(&call, &before, "returned", []).await?;
    if call.body().get("restock").and_then(Value::as_bool).unwrap_or(true) {
        restock(&call, after.id, "return").await?;
    }
    let refunded = undo_money(&call, &after, &reason, 0).await?;
    let heading = heading(&call, &after).await?;
    let lines = vec![format!(
        "You get {} {} back: {reason}",
        money(refunded),
        call.tenant().currency
    )];
    write(&call, &after, &heading, "core.order-refunded", "returned", lines).await?;
    tell(&call, &after, &heading, "returned").await?;
    update::answer::<Entity>(&call, &before, after).await
}

/// The shop's side when the ledger cancels a pending order of its own (`POST /orders/{id}/cancel`).
///
/// # Errors
/// 409 `INVALID_STATE` when the goods are on their way.
pub async fn ledger_cancels(call: &Call, order: Uuid) -> Result<()> {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
    let row = Entity::find()
        .filter(super::orders::Column::OrderId.eq(order))
        .lock_exclusive()
        .one(call.tx())
        .await?;
    let Some(row) = row else { return Ok(()) };
    const FROM: &[&str] = &["unfulfilled", "processing"];
    if !FROM.contains(&row.fulfilment.as_str()) {
        return Err(invalid_state(&row, FROM).into());
    }
    cancelled(call, &row, None).await?;
    customers::adjust(call, row.user_id, Decimal::ZERO, -1).await
}
