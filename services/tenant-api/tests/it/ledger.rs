//! The ledger under many buyers at once: numbers, coupons, row limits. The shop's checkout stands for all sellers.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use crate::{
    harness::{App, Session},
    shop::address,
};

const CART: &str = "/api/v1/ecommerce/cart";

/// A buyer with one piece of a product in the cart, each of another one: nobody waits for somebody else's stock.
async fn buyer(app: &Session, n: usize, coupon: Option<&str>) -> Result<Api> {
    let email = format!("buyer-{n}@preview.local");
    app.sql(&format!(
        "INSERT INTO users (id, email, password_hash, name) VALUES (gen_random_uuid(), '{email}', '', 'Buyer {n}') ON CONFLICT DO NOTHING"
    ))
    .await?;
    let buyer = app.sign_in(&email).await?;
    fill(app, &buyer, n, coupon).await?;
    Ok(buyer)
}

async fn fill(app: &Session, buyer: &Api, n: usize, coupon: Option<&str>) -> Result<()> {
    let product = format!(
        "SELECT id FROM ecommerce_products WHERE status = 'active' AND stock > 0 ORDER BY sku LIMIT 1 OFFSET {n}"
    );
    let line = json!({"productId": app.value(&product).await?, "quantity": 1});
    buyer.post(&format!("{CART}/items"), &line).await?.data(201);
    if let Some(code) = coupon {
        buyer
            .put(&format!("{CART}/coupon"), &json!({"code": code}))
            .await?
            .data(200);
    }
    Ok(())
}

fn order() -> Value {
    json!({"address": address()})
}

/// Checks out all carts at once; the codes of the answers, sorted.
async fn rush(app: &Session, buyers: Vec<Api>) -> Result<Vec<String>> {
    let buy = |buyer: Api| async move {
        let reply = buyer.post(&format!("{CART}/checkout"), &order()).await?;
        let body = reply.answer.json();
        let error = &body["error"];
        let word = error["details"][0]["message"].as_str().or(error["code"].as_str());
        Ok(word.unwrap_or("sold").to_owned())
    };
    let mut words = app.race(buyers.into_iter().map(buy)).await?;
    words.sort_unstable();
    Ok(words)
}

fn count(words: &[String], word: &str) -> usize {
    words.iter().filter(|found| *found == word).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_given_once_and_without_gaps() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let mut buyers = Vec::new();
    for n in 0..10 {
        buyers.push(buyer(&app, n, None).await?);
    }
    assert_eq!(count(&rush(&app, buyers).await?, "sold"), 10);
    let numbers = "SELECT string_agg(number, ' ' ORDER BY number) FROM orders WHERE number > 'ORD-1012'";
    let wanted: Vec<String> = (1013..1023).map(|n| format!("ORD-{n}")).collect();
    assert_eq!(app.value(numbers).await?, wanted.join(" "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_is_never_used_more_often_than_allowed() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.sql("INSERT INTO coupons (id, code, kind, value, max_uses) VALUES (gen_random_uuid(), 'THREE', 'fixed', 5, 3)")
        .await?;
    let mut buyers = Vec::new();
    for n in 0..9 {
        buyers.push(buyer(&app, n, Some("three")).await?);
    }
    let words = rush(&app, buyers).await?;
    assert_eq!((count(&words, "sold"), count(&words, "used_up")), (3, 6), "{words:?}");
    let uses = "SELECT used_count || ' ' || (SELECT count(*) FROM coupon_redemptions r WHERE r.coupon_id = c.id) || ' ' ||
                (SELECT count(*) FROM orders o WHERE o.coupon_code = 'THREE' AND o.discount = 5) FROM coupons c WHERE code = 'THREE'";
    assert_eq!(app.value(uses).await?, "3 3 3");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_buyer_takes_no_more_uses_than_one_may() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.sql("INSERT INTO coupons (id, code, kind, value, per_user_limit) VALUES (gen_random_uuid(), 'ONCE', 'percent', 10, 1)").await?;
    let one = buyer(&app, 1, Some("ONCE")).await?;
    let path = format!("{CART}/checkout");
    let bought = one.post(&path, &order()).await?.data(201);
    fill(&app, &one, 1, None).await?;
    let refused = one
        .put(&format!("{CART}/coupon"), &json!({"code": "once"}))
        .await?
        .error(422, "COUPON_INVALID");
    assert_eq!(refused["details"][0]["message"], "user_limit");

    // Cancelling gives the use back.
    let shop = format!("/api/v1/ecommerce/orders/{}/cancel", bought["id"].as_str().unwrap());
    one.post(&shop, &json!({})).await?.data(200);
    one.put(&format!("{CART}/coupon"), &json!({"code": "once"}))
        .await?
        .data(200);
    one.post(&path, &order()).await?.data(201);
    assert_eq!(
        app.value("SELECT used_count FROM coupons WHERE code = 'ONCE'").await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_for_nothing_is_paid_at_once_without_an_intent() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.sql(
        "INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'FREE', 'percent', 100);
         INSERT INTO settings (id, key, value) VALUES (gen_random_uuid(), 'ecommerce.shippingStandard', '\"0.00\"')",
    )
    .await?;
    let one = buyer(&app, 1, Some("FREE")).await?;
    let declines = json!({"number": "4000000000000002", "expMonth": 1, "expYear": 2099, "cvc": "123"});
    let body = json!({"address": address(), "expectedTotal": "0.00", "payment": {"card": declines}});
    let bought = one.post(&format!("{CART}/checkout"), &body).await?.data(201);
    let id = bought["orderId"].as_str().unwrap();
    let order = one.get(&format!("/api/v1/orders/{id}")).await?.data(200);
    assert_eq!(
        (&order["status"], &order["total"], &order["payments"]),
        (&json!("paid"), &json!("0.00"), &json!([]))
    );
    assert!(order["paidAt"].is_string());
    // There is nothing to give back, but the whole purchase can be undone.
    let staff = app.staff().await?;
    let refund = format!("/api/v1/admin/orders/{id}/refund");
    staff
        .post(&refund, &json!({"reason": "x"}))
        .await?
        .error(409, "INVALID_STATE");
    one.post(
        &format!("/api/v1/ecommerce/orders/{}/cancel", bought["id"].as_str().unwrap()),
        &json!({}),
    )
    .await?
    .data(200);
    let order = one.get(&format!("/api/v1/orders/{id}")).await?.data(200);
    assert_eq!((&order["status"], &order["refunds"]), (&json!("refunded"), &json!([])));
    assert_eq!(
        app.value("SELECT used_count FROM coupons WHERE code = 'FREE'").await?,
        "0"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_limit_holds_for_purchases_at_once() -> Result<()> {
    let app = App::builder()
        .set("MAX_ROWS_PER_TABLE", "40")
        .start(&["ecommerce"])
        .await?;
    // 24 order lines are there; 16 more fit, and 13 of them are taken now.
    app.sql("INSERT INTO order_items (id, order_id, kind, title, quantity, unit_price, line_total)
             SELECT gen_random_uuid(), o.id, 'product', 'x', 1, 0, 0 FROM generate_series(1, 13), (SELECT id FROM orders LIMIT 1) o").await?;
    let mut buyers = Vec::new();
    for n in 0..6 {
        buyers.push(buyer(&app, n, None).await?);
    }
    let words = rush(&app, buyers).await?;
    assert_eq!(
        (count(&words, "sold"), count(&words, "ROW_LIMIT_REACHED")),
        (3, 3),
        "{words:?}"
    );
    assert_eq!(app.value("SELECT count(*) FROM order_items").await?, "40");
    Ok(())
}
