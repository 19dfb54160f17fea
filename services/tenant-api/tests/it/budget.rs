//! How many statements a request sends. The harness holds every answer of every test to [`MOST`]; here are the requests
//! that have much to do, and what may not grow with the size of an order.

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use crate::{
    harness::{App, MOST},
    shop::{address, product},
};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_the_core_is_chatty() -> Result<()> {
    let app = App::start(&[]).await?;
    let (admin, staff, aiko) = (app.admin().await?, app.staff().await?, app.user().await?);
    let user = app.user_id("noah.okafor@preview.local").await?;
    let avatar = app.value("SELECT id FROM uploads WHERE filename = 'logo.svg'").await?;
    let page = app.value("SELECT id FROM content_pages WHERE slug = 'about'").await?;
    let revision = app
        .value(&format!("SELECT id FROM content_revisions WHERE page_id = '{page}'"))
        .await?;
    let message = app.value("SELECT id FROM contact_messages WHERE reply IS NULL").await?;
    let announcement = app.value("SELECT id FROM announcements WHERE is_pinned").await?;
    let address =
        json!({"recipient": "A", "line1": "1", "city": "B", "postalCode": "1", "country": "US", "isDefault": true});
    let contact = json!({"name": "Eve", "email": "e@example.org", "subject": "Hi", "message": "0123456789"});
    let with_avatar = json!({"email": "x@example.org", "name": "X", "avatarId": avatar});
    let requests = [
        (Method::GET, "/auth/me".to_owned(), &aiko, Value::Null),
        (
            Method::PATCH,
            "/auth/me".to_owned(),
            &aiko,
            json!({"name": "A", "avatarId": avatar}),
        ),
        (
            Method::POST,
            "/auth/forgot-password".to_owned(),
            &aiko,
            json!({"email": "aiko.tanabe@preview.local"}),
        ),
        (Method::GET, "/auth/sessions".to_owned(), &aiko, Value::Null),
        (Method::GET, "/users".to_owned(), &staff, Value::Null),
        (Method::GET, "/users/directory".to_owned(), &staff, Value::Null),
        (Method::POST, "/users".to_owned(), &admin, with_avatar),
        (
            Method::PATCH,
            format!("/users/{user}"),
            &admin,
            json!({"role": "STAFF", "avatarId": avatar}),
        ),
        (
            Method::PATCH,
            format!("/users/{user}"),
            &admin,
            json!({"role": "ADMIN"}),
        ),
        (Method::PATCH, format!("/users/{user}"), &admin, json!({"role": "USER"})),
        (Method::DELETE, format!("/users/{user}"), &admin, Value::Null),
        (Method::POST, "/users/me/addresses".to_owned(), &aiko, address.clone()),
        (Method::POST, "/users/me/addresses".to_owned(), &staff, address),
        (Method::POST, "/contact".to_owned(), app.visitor(), contact.clone()),
        (Method::POST, "/contact".to_owned(), &aiko, contact),
        (
            Method::POST,
            format!("/contact/{message}/reply"),
            &staff,
            json!({"reply": "Yes."}),
        ),
        (Method::GET, "/notifications".to_owned(), &staff, Value::Null),
        (
            Method::POST,
            "/faqs".to_owned(),
            &staff,
            json!({"question": "Q", "answer": "A"}),
        ),
        (
            Method::POST,
            format!("/announcements/{announcement}/dismiss"),
            &aiko,
            Value::Null,
        ),
        (
            Method::POST,
            "/content/pages".to_owned(),
            &staff,
            json!({"title": "T", "body": "B", "heroId": avatar}),
        ),
        (
            Method::PATCH,
            format!("/content/pages/{page}"),
            &staff,
            json!({"body": "B"}),
        ),
        (
            Method::POST,
            format!("/content/pages/{page}/revisions/{revision}/restore"),
            &staff,
            Value::Null,
        ),
        (
            Method::GET,
            format!("/content/pages/{page}/revisions"),
            &staff,
            Value::Null,
        ),
        (Method::GET, "/settings".to_owned(), &staff, Value::Null),
        (
            Method::PATCH,
            "/settings".to_owned(),
            &admin,
            json!({"settings": {"app.name": "X", "app.tagline": null, "theme.logoId": avatar}}),
        ),
        (Method::GET, "/config".to_owned(), app.visitor(), Value::Null),
        (Method::DELETE, format!("/uploads/{avatar}"), &staff, Value::Null),
        (Method::DELETE, "/sandbox/emails".to_owned(), &aiko, Value::Null),
    ];
    let mut chatty = Vec::new();
    for (method, path, api, body) in requests {
        let before = app.statements();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let what = format!("{method} {path}");
        let reply = api
            .raw(method, &format!("/api/v1{path}"), "application/json", body)
            .await?;
        assert!(reply.status().is_success(), "{reply}");
        let sent = app.statements() - before;
        if sent > u64::from(MOST) {
            chatty.push(format!("{what}: {sent}"));
        }
    }
    assert!(chatty.is_empty(), "{chatty:#?}");
    Ok(())
}

/// What the steps of an order with so many lines send, from its checkout until it is taken back.
async fn steps(lines: usize) -> Result<Vec<(&'static str, u64)>> {
    let app = App::start(&["ecommerce"]).await?;
    let (user, staff) = (app.user().await?, app.staff().await?);
    for sku in ["LAMP-001", "VASE-006", "CLOCK-008", "CANDLE-010"].iter().take(lines) {
        let line = json!({"productId": product(&app, sku).await?, "quantity": 1});
        user.post("/api/v1/ecommerce/cart/items", &line).await?.data(201);
    }
    let mut steps = Vec::new();
    let mut at = app.statements();
    let mut note = |step| {
        let now = app.statements();
        steps.push((step, now - at));
        at = now;
    };
    let cart = user.get("/api/v1/ecommerce/cart").await?.data(200);
    assert_eq!(cart["items"].as_array().map(Vec::len), Some(lines));
    note("cart");
    let order = user
        .post("/api/v1/ecommerce/cart/checkout", &json!({"address": address()}))
        .await?
        .data(201);
    note("checkout");
    let path = format!("/api/v1/ecommerce/orders/{}", order["id"].as_str().unwrap_or_default());
    user.get(&path).await?.data(200);
    note("order");
    let ledger = format!("/api/v1/orders/{}", order["orderId"].as_str().unwrap_or_default());
    user.get(&ledger).await?.data(200);
    note("order of the ledger");
    let parcel = json!({"carrier": "Parcel Post", "trackingNumber": "1"});
    staff.post(&format!("{path}/ship"), &parcel).await?.data(200);
    note("ship");
    let back = json!({"reason": "Broken"});
    staff.post(&format!("{path}/return"), &back).await?.data(200);
    note("return");
    Ok(steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_many_lines_costs_as_many_statements_as_one_of_one() -> Result<()> {
    assert_eq!(steps(4).await?, steps(1).await?);
    Ok(())
}
