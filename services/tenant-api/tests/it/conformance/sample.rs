//! Bodies that routes take: derived from their fields, completed by the few lines below.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use testkit::contract::Field;

use super::{
    book::{Book, Endpoint},
    values,
};
use crate::harness::Session;

/// What cannot be derived, by route and field: JSON, or a query after `sql:`. A table stands for all references to it.
const SAMPLES: &[(&str, &str)] = &[
    (
        "ecommerce_products",
        "sql:SELECT id FROM ecommerce_products WHERE status = 'active' AND stock > 10 ORDER BY id LIMIT 1",
    ),
    (
        "ecommerce.reviews.summary.productId",
        "sql:SELECT product_id FROM ecommerce_reviews WHERE status = 'published' ORDER BY id LIMIT 1",
    ),
    ("core.search.search.q", "\"preview\""),
    // Exactly one of addressId and address.
    (
        "ecommerce.cart.checkout.address",
        r#"{"recipient": "R", "line1": "L", "city": "C", "postalCode": "P", "country": "DE"}"#,
    ),
    (
        "core.orders.pay.payment",
        r#"{"card": {"number": "4242424242424242", "expMonth": 12, "expYear": 2090, "cvc": "123"}}"#,
    ),
    (
        "core.payment-intents.confirm.card",
        r#"{"number": "4242424242424242", "expMonth": 12, "expYear": 2090, "cvc": "123"}"#,
    ),
    (
        "ecommerce.cart.checkout.payment",
        r#"{"card": {"number": "4242424242424242", "expMonth": 12, "expYear": 2090, "cvc": "123"}}"#,
    ),
];

/// Values at the limits of one field that a rule over several fields forbids; with the reason.
const RULED_OUT: &[(&str, &str)] = &[
    (
        "core.auth.change-password",
        "the first right value changes the password of who asks",
    ),
    ("core.orders.pay.payment.method", "card only"),
    ("core.addresses.create.isDefault", "the first address is the default"),
    (".card.expYear", "the least year lies in the past"),
    ("settings.app.timezone", "a zone that there is"),
    ("ecommerce.products.create.compareAtPrice", "must be above price"),
    ("ecommerce.products.adjust-stock.delta", "must not be 0"),
];

/// Whether values at the limits of a field are refused by another rule.
pub fn is_ruled_out(name: &str) -> bool {
    RULED_OUT
        .iter()
        .any(|(rule, _)| name.starts_with(rule) || rule.starts_with('.') && name.ends_with(rule))
}

/// A body that the route takes, another one for each `n`.
pub async fn body(book: &Book, session: &Session, endpoint: &Endpoint<'_>, n: usize) -> Result<Map<String, Value>> {
    filled(book, session, endpoint, endpoint.body(), n).await
}

/// A query that the route takes, with its question mark; empty when it needs none.
pub async fn query(book: &Book, session: &Session, endpoint: &Endpoint<'_>) -> Result<String> {
    let wanted = filled(book, session, endpoint, &endpoint.query, 1).await?;
    let pairs: Vec<String> = wanted
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    Ok(if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    })
}

async fn filled(
    book: &Book,
    session: &Session,
    endpoint: &Endpoint<'_>,
    fields: &[Field],
    n: usize,
) -> Result<Map<String, Value>> {
    let mut body = values::object(book, endpoint.contract, fields, n);
    for field in fields {
        let name = format!("{}.{}", endpoint.name(), field.name);
        let is_wanted = field.required || endpoint.method != http::Method::GET;
        let sample = SAMPLES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, sample)| *sample)
            .filter(|_| is_wanted);
        let table = field.target.as_deref().filter(|_| field.required);
        let by_table = table.map(|table| {
            let known = SAMPLES.iter().find(|(known, _)| *known == table);
            known.map_or_else(
                || format!("sql:SELECT id FROM {table} ORDER BY id LIMIT 1"),
                |(_, sample)| (*sample).to_owned(),
            )
        });
        let Some(sample) = sample.map(str::to_owned).or(by_table) else {
            continue;
        };
        let value = match sample.strip_prefix("sql:") {
            Some(sql) => Value::String(session.value(sql).await?),
            None => serde_json::from_str(&sample).with_context(|| name.clone())?,
        };
        body.insert(field.name.clone(), value);
    }
    Ok(body)
}
