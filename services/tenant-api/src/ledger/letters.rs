//! What buyers are told about their orders.

use rust_decimal::Decimal;

use crate::{
    http::{Call, Result},
    modules::core::{
        notifications::{To, notify},
        orders::Model,
    },
    resource::value::money,
    sandbox::mail::{self, Mail},
};

/// Mails that a pending order was paid: `core.order-paid`.
///
/// # Errors
/// When the database refuses.
pub async fn paid(call: &Call, order: &Model) -> Result<()> {
    let (number, total) = (&order.number, money(order.total));
    let mail = Mail {
        to: &order.email,
        name: Some(&order.customer_name),
        template: "core.order-paid",
        subject: format!("Order {number} is paid"),
        lines: vec![format!(
            "Thank you: we have received {total} {} for order {number}.",
            order.currency
        )],
        action: Some(("View the order", path(order))),
    };
    mail::send(call, mail).await
}

/// Mails that money was given back: `core.order-refunded`.
///
/// # Errors
/// When the database refuses.
pub async fn refunded(call: &Call, order: &Model, amount: Decimal, reason: &str) -> Result<()> {
    let (number, amount) = (&order.number, money(amount));
    let mail = Mail {
        to: &order.email,
        name: Some(&order.customer_name),
        template: "core.order-refunded",
        subject: format!("Refund for order {number}"),
        lines: vec![
            format!("We have given back {amount} {} for order {number}.", order.currency),
            format!("Reason: {reason}"),
        ],
        action: Some(("View the order", path(order))),
    };
    mail::send(call, mail).await
}

/// Notifies the buyer that money was given back: `core.order-refunded`.
pub fn notify_refunded(call: &Call, order: &Model, amount: Decimal) {
    let Some(buyer) = order.user_id else { return };
    let title = format!("Refund for order {}", order.number);
    let body = format!("{} {} were given back.", money(amount), order.currency);
    let to = To::Users(&[buyer]);
    notify(call, to, "core.order-refunded", &title, Some(&body), &path(order));
}

fn path(order: &Model) -> String {
    format!("/orders/{}", order.id)
}
