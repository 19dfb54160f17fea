//! Orders of everybody, for staff: the rules and rows of [`orders`] under another path.

use fault::{Fault, codes};
use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, Condition};
use serde_json::Value;
use uuid::Uuid;

use super::orders::{self, Column, Entity};
use crate::{
    http::{Answer, Call, Result, Route, Who, query::typed},
    ledger::{letters, orders as ledger, seller, undo},
    resource::{
        Field, Resource, list,
        select::Q,
        show::{self, Lock},
        update,
    },
};

/// The resource's name; the orders themselves look at it to tell whose rows are asked for.
pub const NAME: &str = "admin-orders";

/// Its routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const STAFF: &[Who] = &[Who::Staff];
    const QUERY: &[Field] = &[
        Field::text("status", "100"),
        Field::text("source", "60"),
        USER,
        Field::timestamp("createdAtFrom"),
        Field::timestamp("createdAtTo"),
        Field::money("totalFrom"),
        Field::money("totalTo"),
        Q,
        Field::text("sort", "30"),
        Field::int("page").default("1").min("1"),
        Field::int("limit").default("20").min("1").max("100"),
    ];
    const REFUND: &[Field] = &[
        Field::money("amount").min("0.01"),
        Field::text("reason", "200").required(),
    ];
    vec![
        Route::get("/admin/orders", "list-all", list::list::<Entity>)
            .who(STAFF)
            .query(QUERY)
            .returns_page(Entity::ROW),
        Route::get("/admin/orders/{id}", "get-any", show::show::<Entity>)
            .who(STAFF)
            .returns(Entity::ROW),
        Route::post("/admin/orders/{id}/mark-paid", "mark-paid", mark_paid)
            .who(STAFF)
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE]),
        Route::post("/admin/orders/{id}/refund", "refund", refund)
            .who(STAFF)
            .body(REFUND)
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE])
            .idempotent(),
    ]
}

const USER: Field = Field::reference("userId", "users");

/// The one filter that the list of own orders does not have.
pub(super) fn narrow(call: &Call) -> Result<Condition> {
    let all = Condition::all();
    let asked = call.query().get(USER.name).filter(|_| call.route().resource == NAME);
    let Some(asked) = asked else {
        return Ok(all);
    };
    if asked == "null" {
        return Ok(all.add(Column::UserId.is_null()));
    }
    let mut details = Vec::new();
    let id = typed(&USER, asked, USER.name, &mut details);
    let id = id
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|id| Uuid::try_parse(id).ok());
    let id = id.ok_or_else(|| Fault::invalid(details))?;
    Ok(all.add(Column::UserId.eq(id)))
}

/// A pending order was paid outside the card flow.
async fn mark_paid(call: Call) -> Result<Answer> {
    let before = show::find::<Entity>(&call, call.parameter("id"), Lock::Update).await?;
    let after = ledger::mark_paid(&call, &before).await?;
    orders::paid(&call, &before, after).await
}

/// Gives money back; goods, seats and enrolments stay.
async fn refund(call: Call) -> Result<Answer> {
    let text = |name: &str| call.body().get(name).and_then(Value::as_str);
    let reason = text("reason").unwrap_or_default();
    let amount: Option<Decimal> = text("amount").map(str::parse).transpose().map_err(Fault::internal)?;
    // Locked: of two refunds at once the second sees what the first has left.
    let before = show::find::<Entity>(&call, call.parameter("id"), Lock::Update).await?;
    let undone = undo::refund(&call, &before, amount, reason).await?;
    if let Some(seller) = seller::of(&before) {
        (seller.money)(call.clone(), undone.order.clone(), -undone.refunded).await?;
    }
    letters::refunded(&call, &undone.order, undone.refunded, reason).await?;
    letters::notify_refunded(&call, &undone.order, undone.refunded);
    update::answer::<Entity>(&call, &before, undone.order).await
}
