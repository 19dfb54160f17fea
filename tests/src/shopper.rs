//! A visitor who signs up and shops.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use testkit::{Api, Reply};

/// The choice of the visitor in the plan's end-to-end test.
pub const FEATURES: [&str; 4] = ["auth.basic", "ecommerce.products", "ecommerce.cart", "payments.oneTime"];

/// Somebody who has registered in a session.
pub struct Shopper {
    /// Signed in.
    pub api: Api,
    /// Where mail goes.
    pub email: String,
    /// As the API shows it.
    pub account: Value,
}

impl Shopper {
    /// Registers; `api` names the session.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn register(api: &Api, email: &str) -> Result<Self> {
        let body = json!({ "email": email, "password": "Sunflower1", "name": "Vera Visitor" });
        let reply = api.post("/api/v1/auth/register", &body).await?;
        Self::signed_in(api, email, &reply, 201)
    }

    /// Signs in to one of the demo accounts.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn demo(api: &Api, email: &str) -> Result<Self> {
        let body = json!({ "email": email, "password": "Preview123!" });
        let reply = api.post("/api/v1/auth/login", &body).await?;
        Self::signed_in(api, email, &reply, 200)
    }

    fn signed_in(api: &Api, email: &str, reply: &Reply, status: u16) -> Result<Self> {
        let result = reply.data(status);
        let Some(token) = result["accessToken"].as_str() else {
            bail!("no access token: {reply}")
        };
        Ok(Self {
            api: api.bearer(token),
            email: email.to_owned(),
            account: result["user"].clone(),
        })
    }

    /// One product by its slug.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn product(&self, slug: &str) -> Result<Value> {
        Ok(self
            .api
            .get(&format!("/api/v1/ecommerce/products/{slug}"))
            .await?
            .data(200))
    }

    /// Puts a product into the cart and answers the cart.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn add(&self, slug: &str, quantity: u32) -> Result<Value> {
        let product = self.product(slug).await?;
        let body = json!({ "productId": product["id"], "quantity": quantity });
        Ok(self.api.post("/api/v1/ecommerce/cart/items", &body).await?.data(201))
    }

    /// The cart.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn cart(&self) -> Result<Value> {
        Ok(self.api.get("/api/v1/ecommerce/cart").await?.data(200))
    }

    /// Checks out with a card.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn check_out(&self, card: &str) -> Result<Reply> {
        let card = json!({ "number": card, "expMonth": 12, "expYear": 2090, "cvc": "123" });
        let body = json!({ "address": address(), "payment": { "method": "card", "card": card } });
        self.api.post("/api/v1/ecommerce/cart/checkout", &body).await
    }

    /// What the mailbox holds for this shopper of one template.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn mail(&self, template: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/sandbox/emails?toEmail={}&template={template}", self.email);
        Ok(self.api.get(&path).await?.list().0)
    }
}

/// Where orders go.
#[must_use]
pub fn address() -> Value {
    json!({
        "recipient": "Vera Visitor", "line1": "1 Garden Row", "city": "Springfield", "postalCode": "12345", "country": "US",
    })
}

/// Asks again until the answer is yes.
///
/// # Errors
/// When it is not within `limit`.
pub async fn eventually(what: &str, limit: Duration, mut question: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    while !question().await? {
        if Instant::now() > end {
            bail!("not so within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
