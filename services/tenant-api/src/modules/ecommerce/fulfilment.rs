//! The way of an order to its buyer: packed, shipped, delivered, cancelled, returned.

use fault::{Code, Fault, codes};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    prelude::{Decimal, Uuid},
};
use serde_json::{Map, Value, json};

use super::{
    customers,
    orders::{Column, Entity, Model, invalid_state},
    reviews, stock,
};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    ledger::{
        self,
        undo::{self, Undone},
    },
    modules::core::{
        notifications::{To, notify},
        orders,
    },
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

/// The order in another state; the row is written at the end of the request.
fn move_to(
    call: &Call,
    before: &Model,
    state: &str,
    more: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Model> {
    let mut values = Map::from_iter([("fulfilment".to_owned(), json!(state))]);
    values.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    update::write_later::<Entity>(call, before, &values)
}

fn text(call: &Call, name: &str) -> Option<String> {
    call.body().get(name).and_then(Value::as_str).map(str::to_owned)
}

fn now(call: &Call) -> Value {
    json!(crate::resource::value::instant(call.now()))
}

/// The ledger's side of an order, locked.
async fn ledger_of(call: &Call, row: &Model) -> Result<orders::Model> {
    let found = orders::Entity::find_by_id(row.order_id)
        .lock_exclusive()
        .one(call.tx())
        .await?;
    found.ok_or_else(|| Fault::not_found().into())
}

fn tell(call: &Call, row: &Model, order: &orders::Model, word: &str) {
    let Some(user) = row.user_id else { return };
    let title = format!("Order {} was {word}", order.number);
    let link = format!("/shop/orders/{}", row.id);
    notify(call, To::Users(&[user]), "ecommerce.order-status", &title, None, &link);
}

async fn write(
    call: &Call,
    row: &Model,
    order: &orders::Model,
    template: &'static str,
    word: &str,
    lines: Vec<String>,
) -> Result<()> {
    let mail = Mail {
        to: &order.email,
        name: Some(&order.customer_name),
        template,
        subject: format!("Order {} was {word}", order.number),
        lines,
        action: Some(("See the order", format!("/shop/orders/{}", row.id))),
    };
    mail::send(call, mail).await?;
    tell(call, row, order, word);
    Ok(())
}

async fn process(call: Call) -> Result<Answer> {
    let before = locked(&call, &["unfulfilled"]).await?;
    let after = move_to(&call, &before, "processing", [])?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn ship(call: Call) -> Result<Answer> {
    let before = locked(&call, EARLY).await?;
    let (carrier, number) = (text(&call, "carrier"), text(&call, "trackingNumber"));
    let more = [
        ("carrier", json!(carrier)),
        ("trackingNumber", json!(number)),
        ("shippedAt", now(&call)),
    ];
    let after = move_to(&call, &before, "shipped", more)?;
    let order = ledger_of(&call, &after).await?;
    let lines = vec![format!(
        "{} is bringing your order. Tracking number: {}.",
        carrier.unwrap_or_default(),
        number.unwrap_or_default()
    )];
    write(&call, &after, &order, "ecommerce.order-shipped", "shipped", lines).await?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn deliver(call: Call) -> Result<Answer> {
    let before = locked(&call, &["shipped"]).await?;
    let after = move_to(&call, &before, "delivered", [("deliveredAt", now(&call))])?;
    // Paid at the door, unless it was paid by card on the way.
    let order = ledger_of(&call, &after).await?;
    if order.status == "pending" {
        let paid = ledger::orders::mark_paid(&call, &order).await?;
        customers::adjust(&call, before.user_id, order.total, 0);
        reviews::verify(&call, &paid);
    }
    tell(&call, &after, &order, "delivered");
    update::answer::<Entity>(&call, &before, after).await
}

async fn cancel(call: Call) -> Result<Answer> {
    let before = locked(&call, EARLY).await?;
    let reason = text(&call, "reason");
    restock(&call, LOCKED, before.id, "cancel").await?;
    let after = cancelled(&call, &before, reason.as_deref())?;
    let undone = undo_money(&call, &after, reason.as_deref().unwrap_or("The order was cancelled"), 1).await?;
    tell_cancelled(&call, &after, &undone.order).await?;
    update::answer::<Entity>(&call, &before, after).await
}

/// The row of a cancelled order.
fn cancelled(call: &Call, before: &Model, reason: Option<&str>) -> Result<Model> {
    let more = [("cancelledAt", now(call)), ("cancelReason", json!(reason))];
    move_to(call, before, "cancelled", more)
}

async fn tell_cancelled(call: &Call, row: &Model, order: &orders::Model) -> Result<()> {
    let lines = vec!["Your order was cancelled. What you paid was given back.".to_owned()];
    write(call, row, order, "ecommerce.order-cancelled", "cancelled", lines).await
}

/// The states that an order can be cancelled in.
const EARLY: &[&str] = &["unfulfilled", "processing"];
/// The order `$1`, which is locked already.
const LOCKED: &str = "SELECT * FROM ecommerce_orders WHERE id = $1";
/// The order of the ledger's order `$1`, now locked, when it can be cancelled.
const LOCKING: &str =
    "SELECT * FROM ecommerce_orders WHERE order_id = $1 AND fulfilment IN ('unfulfilled', 'processing') FOR UPDATE";

/// Puts the goods of an order back, with a movement for each line, in one statement. Returns the order that was found.
async fn restock(call: &Call, order: &str, key: Uuid, reason: &'static str) -> Result<Option<Model>> {
    let id = each_id("$5", "id::text");
    let sql = format!(
        "WITH parcel AS ({order}), \
               back AS (SELECT l.product_id, i.quantity, parcel.id AS parcel FROM parcel \
                 JOIN ecommerce_order_items l ON l.shop_order_id = parcel.id JOIN order_items i ON i.id = l.order_item_id \
                 WHERE l.product_id IS NOT NULL), \
               locked AS (SELECT p.id, p.stock FROM ecommerce_products p JOIN back ON back.product_id = p.id ORDER BY p.id FOR UPDATE OF p), \
               changed AS (UPDATE ecommerce_products p SET stock = p.stock + back.quantity, sold_count = GREATEST(p.sold_count - back.quantity, 0), updated_at = $4 \
                 FROM back, locked WHERE p.id = back.product_id AND locked.id = p.id RETURNING p.id, back.quantity, p.stock, back.parcel), \
               noted AS (INSERT INTO ecommerce_stock_movements (id, product_id, reason, delta, stock_after, shop_order_id, created_by_id, created_at, updated_at) \
                 SELECT {id}, id, $2, quantity, stock, parcel, $3, clock_timestamp(), clock_timestamp() FROM changed) \
         SELECT * FROM parcel"
    );
    let by = call.caller().map(|caller| caller.id);
    let values = [
        key.into(),
        reason.into(),
        by.into(),
        call.now().into(),
        Uuid::now_v7().to_string().into(),
    ];
    call.closing().watch(stock::MOVEMENTS);
    let found = call.row(&sql, values).await?;
    Ok(found.map(|row| Model::from_query_result(&row, "")).transpose()?)
}

/// Takes the purchase back in the ledger and in the customer's record; `orders` no longer count there.
async fn undo_money(call: &Call, row: &Model, reason: &str, orders: i32) -> Result<Undone> {
    let undone = undo::undo(call, &[row.order_id], reason).await?.pop();
    let undone = undone.ok_or_else(Fault::not_found)?;
    customers::adjust(call, row.user_id, -undone.refunded, -orders);
    reviews::verify(call, &undone.order);
    Ok(undone)
}

async fn take_back(call: Call) -> Result<Answer> {
    let before = locked(&call, &["shipped", "delivered"]).await?;
    let reason = text(&call, "reason").unwrap_or_default();
    let after = move_to(&call, &before, "returned", [])?;
    if call.body().get("restock").and_then(Value::as_bool).unwrap_or(true) {
        restock(&call, LOCKED, after.id, "return").await?;
    }
    let undone = undo_money(&call, &after, &reason, 0).await?;
    if undone.refunded.is_zero() {
        tell(&call, &after, &undone.order, "returned");
    } else {
        let (amount, currency) = (money(undone.refunded), &call.tenant().currency);
        let lines = vec![format!("You get {amount} {currency} back: {reason}")];
        write(&call, &after, &undone.order, "core.order-refunded", "returned", lines).await?;
    }
    update::answer::<Entity>(&call, &before, after).await
}

/// The shop's side when the ledger cancels a pending order of its own (`POST /orders/{id}/cancel`).
///
/// # Errors
/// 409 `INVALID_STATE` when the goods are on their way.
pub async fn ledger_cancels(call: &Call, order: &orders::Model) -> Result<()> {
    let Some(before) = restock(call, LOCKING, order.id, "cancel").await? else {
        let row = Entity::find()
            .filter(Column::OrderId.eq(order.id))
            .one(call.tx())
            .await?;
        return row.map_or(Ok(()), |row| Err(invalid_state(&row, EARLY).into()));
    };
    let after = cancelled(call, &before, None)?;
    tell_cancelled(call, &after, order).await?;
    customers::adjust(call, before.user_id, Decimal::ZERO, -1);
    Ok(())
}
