//! Checkout: totals, stock, payment, and what happens when many buy at once.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use super::{address, product};
use crate::harness::{App, Session};

const CART: &str = "/api/v1/ecommerce/cart";
const CHECKOUT: &str = "/api/v1/ecommerce/cart/checkout";

async fn fill(session: &Session, user: &Api, sku: &str, quantity: i32) -> Result<()> {
    let body = json!({"productId": product(session, sku).await?, "quantity": quantity});
    user.post(&format!("{CART}/items"), &body).await?.data(201);
    Ok(())
}

/// What must not change when a checkout is refused.
async fn state(session: &Session) -> Result<String> {
    session
        .value(
            "SELECT concat_ws(' ', (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items), (SELECT count(*) FROM ecommerce_orders), \
             (SELECT sum(stock) FROM ecommerce_products), (SELECT count(*) FROM ecommerce_stock_movements), (SELECT sum(used_count) FROM coupons), \
             (SELECT count(*) FROM ecommerce_cart_items), (SELECT count(*) FROM emails), (SELECT sum(orders_count) FROM ecommerce_customers))",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_makes_order_lines_movements_payment_customer_and_mail() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    fill(&app, &user, "LAMP-001", 2).await?;
    fill(&app, &user, "MUG-002", 1).await?;
    user.put(&format!("{CART}/coupon"), &json!({"code": "WELCOME10"}))
        .await?
        .data(200);
    let shown = user.get(CART).await?.data(200);
    let before = app
        .value("SELECT used_count FROM coupons WHERE code = 'WELCOME10'")
        .await?
        .parse::<i32>()?;
    let body = json!({"address": address(), "note": "Ring twice", "expectedTotal": shown["total"],
        "payment": {"card": {"number": "4242424242424242", "expMonth": 12, "expYear": 2099, "cvc": "123"}}});
    let reply = user.post(CHECKOUT, &body).await?;
    let order = reply.data(201);
    assert_eq!(
        reply.header("location"),
        format!("/api/v1/ecommerce/orders/{}", order["id"].as_str().unwrap_or_default())
    );
    assert_eq!(
        (&order["status"], &order["fulfilment"], &order["itemCount"]),
        (&json!("paid"), &json!("unfulfilled"), &json!(3))
    );
    for sum in ["subtotal", "discount", "shipping", "tax", "total"] {
        assert_eq!(order[sum], shown[sum], "{sum} is what the cart showed");
    }
    assert_eq!(order["subtotal"], "112.50");
    assert_eq!(order["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(order["shippingAddress"]["line2"], Value::Null);
    let number = order["number"].as_str().unwrap_or_default();
    assert!(number.starts_with("ORD-"));
    let instants = format!(
        "SELECT count(DISTINCT instant) FROM orders o JOIN ecommerce_orders s ON s.order_id = o.id
         JOIN ecommerce_customers c ON c.user_id = o.user_id, unnest(ARRAY[o.created_at, o.paid_at, s.created_at, c.last_order_at]) AS instant
         WHERE o.number = '{number}'"
    );
    assert_eq!(app.value(&instants).await?, "1", "one purchase is one instant");
    assert_eq!(user.get(CART).await?.data(200)["itemCount"], 0);
    assert_eq!(
        app.value("SELECT used_count FROM coupons WHERE code = 'WELCOME10'")
            .await?
            .parse::<i32>()?,
        before + 1
    );
    assert_eq!(
        app.value("SELECT stock FROM ecommerce_products WHERE sku = 'LAMP-001'")
            .await?,
        "23"
    );
    let payment = format!(
        "SELECT p.status || ' ' || card_brand || ' ' || card_last4 || ' ' || amount FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.number = '{number}'"
    );
    assert_eq!(
        app.value(&payment).await?,
        format!("succeeded visa 4242 {}", order["total"].as_str().unwrap_or_default())
    );
    let (mails, _) = app
        .visitor()
        .get("/api/v1/sandbox/emails?template=ecommerce.order-confirmed")
        .await?
        .list();
    assert!(
        mails
            .iter()
            .any(|mail| mail["subject"].as_str().is_some_and(|subject| subject.contains(number)))
    );
    let told = "SELECT count(*) FROM notifications WHERE kind = 'ecommerce.order-placed' AND created_at > now() - interval '1 minute'";
    assert_eq!(app.value(told).await?, "3", "admin and two of the staff");
    assert_eq!(
        app.value(&format!(
            "SELECT count(*) FROM audit_logs WHERE action = 'ecommerce.cart.checkout'
             AND entity_type = 'ecommerce.orders' AND entity_id = '{}'",
            order["id"].as_str().unwrap_or_default()
        ))
        .await?,
        "1"
    );
    user.post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(409, "CART_EMPTY");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_leaves_nothing_but_the_failed_payment() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    fill(&app, &user, "LAMP-001", 1).await?;
    user.put(&format!("{CART}/coupon"), &json!({"code": "WELCOME10"}))
        .await?
        .data(200);
    let before = state(&app).await?;
    let card = |number: &str| json!({"address": address(), "payment": {"card": {"number": number, "expMonth": 12, "expYear": 2099, "cvc": "123"}}});
    let declined = user
        .post(CHECKOUT, &card("4000000000009995"))
        .await?
        .error(402, "PAYMENT_DECLINED");
    assert_eq!(
        declined["details"],
        json!([{"field": "card", "message": "insufficient_funds"}])
    );
    assert_eq!(state(&app).await?, before);
    let failed = "SELECT status || ' ' || decline_code || ' ' || card_last4 || ' ' || (order_id IS NULL) FROM payments WHERE created_at > now() - interval '1 minute' AND status = 'failed'";
    assert_eq!(app.value(failed).await?, "failed insufficient_funds 9995 true");
    user.post(CHECKOUT, &card("4242424242424241"))
        .await?
        .error(422, "VALIDATION_ERROR");
    let past = json!({"address": address(), "payment": {"card": {"number": "4242424242424242", "expMonth": 1, "expYear": 2020, "cvc": "123"}}});
    user.post(CHECKOUT, &past).await?.error(422, "VALIDATION_ERROR");
    assert_eq!(state(&app).await?, before);
    user.post(CHECKOUT, &json!({"address": address()})).await?.data(201);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_that_would_surprise_is_refused_whole() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    app.visitor()
        .post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(401, "UNAUTHORIZED");
    fill(&app, &user, "MUG-002", 3).await?;
    let before = state(&app).await?;
    let changed = user
        .post(CHECKOUT, &json!({"address": address(), "expectedTotal": "1.00"}))
        .await?
        .error(409, "TOTAL_CHANGED");
    assert_eq!(changed["details"][0]["field"], "expectedTotal");
    for wrong in [
        json!({}),
        json!({"address": address(), "addressId": "00000000-0000-7000-8000-000000000000"}),
        json!({"addressId": "00000000-0000-7000-8000-000000000000"}),
        json!({"address": {"city": "X"}}),
        json!({"address": address(), "shippingMethod": "pigeon"}),
        json!({"address": address(), "total": "1.00"}),
    ] {
        user.post(CHECKOUT, &wrong).await?.error(422, "VALIDATION_ERROR");
    }
    let theirs = app
        .value("SELECT a.id FROM user_addresses a JOIN users u ON u.id = a.user_id WHERE u.name = 'Noah Okafor'")
        .await?;
    user.post(CHECKOUT, &json!({"addressId": theirs}))
        .await?
        .error(422, "VALIDATION_ERROR");
    assert_eq!(state(&app).await?, before);
    app.sql("UPDATE ecommerce_products SET stock = 2 WHERE sku = 'MUG-002'")
        .await?;
    let short = user
        .post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(409, "OUT_OF_STOCK");
    assert_eq!(
        short["details"],
        json!([{"field": "items[0].quantity", "message": "2"}])
    );
    app.sql("UPDATE ecommerce_products SET status = 'archived' WHERE sku = 'MUG-002'")
        .await?;
    user.post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(409, "PRODUCT_UNAVAILABLE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pieces_are_sold_once() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.sql("UPDATE ecommerce_products SET stock = 4 WHERE sku = 'LAMP-001'")
        .await?;
    let mut buyers = Vec::new();
    for i in 0..12 {
        let email = format!("buyer{i}@preview.local");
        app.sql(&format!(
            "INSERT INTO users (id, email, password_hash, name) VALUES (gen_random_uuid(), '{email}', 'x', 'Buyer {i}')"
        ))
        .await?;
        let user = app.sign_in(&email).await?;
        fill(&app, &user, "LAMP-001", 1).await?;
        buyers.push(user);
    }
    let buy = |user: Api| async move { user.post(CHECKOUT, &json!({"address": address()})).await };
    let mut sold = Vec::new();
    for reply in app.race(buyers.into_iter().map(buy)).await? {
        if reply.status() == 201 {
            sold.push(reply.data(201)["number"].as_str().unwrap_or_default().to_owned());
        } else {
            reply.error(409, "OUT_OF_STOCK");
        }
    }
    assert_eq!(sold.len(), 4);
    sold.sort();
    sold.dedup();
    assert_eq!(sold.len(), 4, "numbers are never given twice");
    assert_eq!(
        app.value("SELECT stock FROM ecommerce_products WHERE sku = 'LAMP-001'")
            .await?,
        "0"
    );
    assert_eq!(app.value("SELECT count(*) FROM ecommerce_cart_items i JOIN ecommerce_products p ON p.id = i.product_id JOIN ecommerce_carts c ON c.id = i.cart_id JOIN users u ON u.id = c.user_id WHERE p.sku = 'LAMP-001' AND u.name LIKE 'Buyer%'").await?, "8", "the others keep their carts");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cart_checked_out_twice_at_once_gives_one_order() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    fill(&app, &user, "LAMP-001", 1).await?;
    let buy = |user: Api| async move { user.post(CHECKOUT, &json!({"address": address()})).await };
    let mut made = 0;
    for reply in app.race((0..4).map(|_| buy(user.clone()))).await? {
        if reply.status() == 201 {
            made += 1;
        } else {
            reply.error(409, "CART_EMPTY");
        }
    }
    assert_eq!(made, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_first_answer_again() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    fill(&app, &user, "LAMP-001", 1).await?;
    let keyed = user.with("idempotency-key", "order-1");
    let buy = |keyed: Api| async move { keyed.post(CHECKOUT, &json!({"address": address()})).await };
    let (mut numbers, mut replayed) = (Vec::new(), 0);
    for reply in app.race((0..3).map(|_| buy(keyed.clone()))).await? {
        numbers.push(reply.data(201)["number"].clone());
        replayed += i32::from(reply.header("idempotency-replayed") == "true");
    }
    numbers.dedup();
    assert_eq!((numbers.len(), replayed), (1, 2));
    keyed
        .post(CHECKOUT, &json!({"address": address(), "note": "other"}))
        .await?
        .error(409, "IDEMPOTENCY_CONFLICT");
    user.with("idempotency-key", "with space")
        .post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(422, "VALIDATION_ERROR");
    user.with("idempotency-key", "order-2")
        .post(CHECKOUT, &json!({"address": address()}))
        .await?
        .error(409, "CART_EMPTY");
    fill(&app, &user, "LAMP-001", 1).await?;
    user.with("idempotency-key", "order-2")
        .post(CHECKOUT, &json!({"address": address()}))
        .await?
        .data(201);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_of_a_long_order_ends_with_its_total() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    fill(&app, &user, "LAMP-001", 1).await?;
    app.sql(
        "INSERT INTO ecommerce_products (id, sku, name, slug, price, stock, status, category_id)
           SELECT gen_random_uuid(), 'LONG-' || n, repeat('&', 150) || n, 'long-' || n, 1, 9, 'active', (SELECT id FROM ecommerce_categories LIMIT 1)
           FROM generate_series(1, 120) n;
         INSERT INTO ecommerce_cart_items (id, cart_id, product_id, quantity)
           SELECT gen_random_uuid(), c.id, p.id, 1 FROM ecommerce_carts c, ecommerce_products p WHERE c.user_id IS NOT NULL AND p.sku LIKE 'LONG-%'",
    )
    .await?;
    let order = user.post(CHECKOUT, &json!({"address": address()})).await?.data(201);
    let mail = "SELECT text FROM emails WHERE template = 'ecommerce.order-confirmed' ORDER BY created_at DESC, id DESC LIMIT 1";
    let text = app.value(mail).await?;
    let total = format!("Total: {} USD.", order["total"].as_str().unwrap_or_default());
    assert!(
        text.contains("And more: 121 lines in all.") && text.contains(&total),
        "{text}"
    );
    let longest = app
        .value("SELECT max(length(html)) < 60000 AND max(length(text)) < 20000 FROM emails")
        .await?;
    assert_eq!(longest, "t");
    Ok(())
}
