//! The online shop, held to docs/contract/ecommerce.yaml.

mod cart;
mod catalogue;
mod checkout;
mod fulfilment;
mod people;
mod rules;

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::Session;

/// The id of a product by its number.
pub async fn product(session: &Session, sku: &str) -> Result<String> {
    session
        .value(&format!("SELECT id FROM ecommerce_products WHERE sku = '{sku}'"))
        .await
}

/// Where goods may go.
pub fn address() -> Value {
    json!({"recipient": "Aiko Tanabe", "line1": "4 Cedar Lane", "city": "Springfield", "postalCode": "49007", "country": "US"})
}
