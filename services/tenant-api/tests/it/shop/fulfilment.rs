//! The way of orders, and what undoing one puts back.

use anyhow::Result;
use serde_json::{Value, json};

use super::{address, product};
use crate::harness::App;

const ORDERS: &str = "/api/v1/ecommerce/orders";

async fn order(app: &App, body: Value) -> Result<Value> {
    let user = app.user().await?;
    let line = json!({"productId": product(app, "LAMP-001").await?, "quantity": 2});
    user.post("/api/v1/ecommerce/cart/items", &line).await?.data(201);
    Ok(user.post("/api/v1/ecommerce/cart/checkout", &body).await?.data(201))
}

fn path(order: &Value, step: &str) -> String {
    format!("{ORDERS}/{}/{step}", order["id"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_verified_as_long_as_an_order_of_the_product_is_paid() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, user) = (app.staff().await?, app.user().await?);
    app.sql("DELETE FROM ecommerce_reviews; UPDATE orders SET status = 'cancelled'")
        .await?;
    let review = json!({"productId": product(&app, "LAMP-001").await?, "rating": 5});
    let review = user.post("/api/v1/ecommerce/reviews", &review).await?.data(201);
    let address_of = |review: &Value| {
        format!(
            "/api/v1/ecommerce/reviews/{}",
            review["id"].as_str().unwrap_or_default()
        )
    };
    let verified = async |expected: bool, when: &str| {
        let shown = user.get(&address_of(&review)).await?.data(200);
        assert_eq!(shown["isVerified"], expected, "{when}");
        assert_eq!(shown["version"], review["version"], "nobody edited it");
        anyhow::Ok(())
    };
    let pay = |method: &str| match method {
        "card" => {
            json!({"method": method, "card": {"number": "4242424242424242", "expMonth": 12, "expYear": 2099, "cvc": "123"}})
        }
        _ => json!({"method": method}),
    };
    let buy = async |method| order(&app, json!({"address": address(), "payment": pay(method)})).await;
    let ledger = |order: &Value, step: &str| {
        format!(
            "/api/v1/admin/orders/{}/{step}",
            order["orderId"].as_str().unwrap_or_default()
        )
    };

    verified(false, "nothing is bought yet").await?;
    let later = buy("on_delivery").await?;
    verified(false, "it is not paid yet").await?;
    let first = buy("card").await?;
    verified(true, "it is paid").await?;
    staff.post(&path(&first, "cancel"), &json!({})).await?.data(200);
    verified(false, "the money went back").await?;
    staff.post(&ledger(&later, "mark-paid"), &json!({})).await?.data(200);
    verified(true, "the other order is paid now").await?;
    let part = json!({"amount": "1.00", "reason": "a scratch"});
    staff.post(&ledger(&later, "refund"), &part).await?.data(200);
    verified(true, "most of it is still paid").await?;
    let third = buy("card").await?;
    staff.post(&path(&third, "cancel"), &json!({})).await?.data(200);
    verified(true, "the other order still is").await?;
    staff
        .post(&ledger(&later, "refund"), &json!({"reason": "broken"}))
        .await?
        .data(200);
    verified(false, "all of it went back").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_paid_on_delivery_is_paid_at_the_door() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, user) = (app.staff().await?, app.user().await?);
    let order = order(
        &app,
        json!({"address": address(), "payment": {"method": "on_delivery"}}),
    )
    .await?;
    assert_eq!(order["status"], "pending");
    staff
        .post(&path(&order, "deliver"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    user.post(&path(&order, "process"), &json!({}))
        .await?
        .error(403, "FORBIDDEN");
    assert_eq!(
        staff
            .post(&path(&order, "process"), &json!({"version": 1}))
            .await?
            .data(200)["fulfilment"],
        "processing"
    );
    staff
        .post(
            &path(&order, "ship"),
            &json!({"carrier": "Parcel Post", "trackingNumber": "1", "version": 1}),
        )
        .await?
        .error(409, "VERSION_CONFLICT");
    let shipped = staff
        .post(
            &path(&order, "ship"),
            &json!({"carrier": "Parcel Post", "trackingNumber": "PP1"}),
        )
        .await?
        .data(200);
    assert_eq!(
        (&shipped["fulfilment"], &shipped["status"], &shipped["trackingNumber"]),
        (&json!("shipped"), &json!("pending"), &json!("PP1"))
    );
    user.post(&path(&order, "cancel"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    let delivered = staff.post(&path(&order, "deliver"), &json!({})).await?.data(200);
    assert_eq!(
        (&delivered["fulfilment"], &delivered["status"]),
        (&json!("delivered"), &json!("paid"))
    );
    let mails = app
        .visitor()
        .get("/api/v1/sandbox/emails?template=ecommerce.order-shipped&q=PP1")
        .await?
        .list()
        .1
        .total;
    assert_eq!(mails, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_cancels_put_stock_back_once_and_refund_once() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let spent = "SELECT total_spent || ' ' || orders_count FROM ecommerce_customers c JOIN users u ON u.id = c.user_id WHERE u.name = 'Aiko Tanabe'";
    let before = app.value(spent).await?;
    let order = order(&app, json!({"address": address()})).await?;
    assert_eq!(
        app.value("SELECT stock FROM ecommerce_products WHERE sku = 'LAMP-001'")
            .await?,
        "23"
    );
    let user = app.user().await?;
    let cancel = || {
        let (user, path) = (user.clone(), path(&order, "cancel"));
        async move { user.post(&path, &json!({"reason": "Changed my mind"})).await }
    };
    let mut done = 0;
    for reply in app.race((0..4).map(|_| cancel())).await? {
        if reply.status() == 200 {
            assert_eq!(reply.data(200)["status"], "refunded");
            done += 1;
        } else {
            reply.error(409, "INVALID_STATE");
        }
    }
    assert_eq!(done, 1);
    assert_eq!(
        app.value("SELECT stock FROM ecommerce_products WHERE sku = 'LAMP-001'")
            .await?,
        "25"
    );
    assert_eq!(app.value(spent).await?, before, "the customer's record is as it was");
    let agrees = "SELECT bool_and(p.stock = (SELECT sum(m.delta) FROM ecommerce_stock_movements m WHERE m.product_id = p.id)) FROM ecommerce_products p WHERE p.status <> 'draft'";
    assert_eq!(app.value(agrees).await?, "t");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_the_orders_that_are_theirs_to_see() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.visitor().get(ORDERS).await?.error(401, "UNAUTHORIZED");
    let all = app
        .staff()
        .await?
        .get(&format!("{ORDERS}?limit=100"))
        .await?
        .list()
        .1
        .total;
    assert_eq!(all, 12);
    let lena = app.sign_in("lena.brandt@preview.local").await?;
    let (own, page) = lena.get(ORDERS).await?.list();
    assert!(page.total > 0 && page.total < 12);
    assert!(own.iter().all(|row| row["email"] == "lena.brandt@preview.local"));
    // Noah is the seller Hillside Makers and a buyer too.
    let noah = app.other_user().await?;
    let (seen, _) = noah.get(&format!("{ORDERS}?limit=100")).await?.list();
    let foreign = seen
        .iter()
        .find(|row| row["email"] != "noah.okafor@preview.local")
        .cloned()
        .unwrap_or_default();
    assert_eq!(foreign["total"], Value::Null, "a seller sees no totals");
    let whole = noah
        .get(&format!("{ORDERS}/{}", foreign["id"].as_str().unwrap_or_default()))
        .await?
        .data(200);
    let seller = app
        .value("SELECT id FROM ecommerce_sellers WHERE slug = 'hillside-makers'")
        .await?;
    assert!(
        whole["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty() && items.iter().all(|item| item["sellerId"] == seller.as_str()))
    );
    let theirs = own.first().and_then(|row| row["id"].as_str()).unwrap_or_default();
    app.user()
        .await?
        .get(&format!("{ORDERS}/{theirs}"))
        .await?
        .error(404, "NOT_FOUND");
    let sorted = app
        .staff()
        .await?
        .get(&format!("{ORDERS}?sort=-total&status=paid,pending"))
        .await?
        .list()
        .0;
    let totals: Vec<f64> = sorted
        .iter()
        .filter_map(|row| row["total"].as_str()?.parse().ok())
        .collect();
    assert!(
        totals.len() > 3 && totals.windows(2).all(|pair| pair[0] >= pair[1]),
        "{totals:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_refunds_and_restocks_when_asked() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let order = order(&app, json!({"address": address()})).await?;
    staff
        .post(&path(&order, "return"), &json!({"reason": "Broken"}))
        .await?
        .error(409, "INVALID_STATE");
    staff
        .post(&path(&order, "ship"), &json!({"carrier": "C", "trackingNumber": "T"}))
        .await?
        .data(200);
    staff
        .post(&path(&order, "return"), &json!({}))
        .await?
        .error(422, "VALIDATION_ERROR");
    let back = staff
        .post(&path(&order, "return"), &json!({"reason": "Broken", "restock": false}))
        .await?
        .data(200);
    assert_eq!(
        (&back["fulfilment"], &back["status"]),
        (&json!("returned"), &json!("refunded"))
    );
    assert_eq!(
        app.value("SELECT stock FROM ecommerce_products WHERE sku = 'LAMP-001'")
            .await?,
        "23",
        "broken goods stay out"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_of_what_was_never_paid_promises_no_money() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let order = order(
        &app,
        json!({"address": address(), "payment": {"method": "on_delivery"}}),
    )
    .await?;
    staff
        .post(&path(&order, "ship"), &json!({"carrier": "C", "trackingNumber": "T"}))
        .await?
        .data(200);
    staff
        .post(&path(&order, "return"), &json!({"reason": "Refused at the door"}))
        .await?
        .data(200);
    let mails = "SELECT count(*) FROM emails WHERE template = 'core.order-refunded' AND to_email LIKE 'aiko%'";
    assert_eq!(app.value(mails).await?, "0");
    let told = "SELECT count(*) FROM notifications WHERE kind = 'ecommerce.order-status' AND title LIKE '%returned%'";
    assert_eq!(app.value(told).await?, "1");
    Ok(())
}
