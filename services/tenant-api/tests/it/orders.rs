//! Orders after they were placed: shown, paid, cancelled, refunded.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use crate::harness::{App, Session};

/// A pending order of 108.00 that somebody placed with WELCOME10 in a module without hooks.
async fn pending(app: &Session, email: &str) -> Result<String> {
    let number = app.value("SELECT 'ORD-T' || count(*) FROM orders").await?;
    app.sql(&format!(
        "INSERT INTO orders (id, number, user_id, customer_name, email, source, currency, subtotal, discount, tax, total,
             coupon_id, coupon_code)
           SELECT gen_random_uuid(), '{number}', u.id, u.name, u.email, 'booking', 'USD', 110, 10, 8, 108, c.id, c.code
           FROM users u, coupons c WHERE u.email = '{email}' AND c.code = 'WELCOME10';
         INSERT INTO order_items (id, order_id, kind, title, quantity, unit_price, line_total)
           SELECT gen_random_uuid(), id, 'booking', 'Haircut', 2, 55, 110 FROM orders WHERE number = '{number}';
         INSERT INTO coupon_redemptions (id, coupon_id, order_id, user_id, amount)
           SELECT gen_random_uuid(), coupon_id, id, user_id, discount FROM orders WHERE number = '{number}';
         UPDATE coupons SET used_count = used_count + 1 WHERE code = 'WELCOME10'"
    ))
    .await?;
    app.value(&format!("SELECT id FROM orders WHERE number = '{number}'"))
        .await
}

async fn uses(app: &Session) -> Result<String> {
    let sql = "SELECT used_count || '/' || (SELECT count(*) FROM coupon_redemptions WHERE coupon_id = c.id)
               FROM coupons c WHERE code = 'WELCOME10'";
    app.value(sql).await
}

const AIKO: &str = "aiko.tanabe@preview.local";

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_own_orders_and_staff_see_all_on_another_page() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (user, staff) = (app.user().await?, app.staff().await?);
    let aiko = app.user_id(AIKO).await?;
    app.visitor().get("/api/v1/orders").await?.error(401, "UNAUTHORIZED");
    let (own, _) = user.get("/api/v1/orders?limit=100").await?.list();
    assert!(!own.is_empty() && own.iter().all(|order| order["userId"] == json!(aiko)));
    assert!(
        own.iter().all(|order| order.get("items").is_none()),
        "lists have no embedded rows"
    );
    assert!(staff.get("/api/v1/orders").await?.list().0.is_empty());
    user.get("/api/v1/admin/orders").await?.error(403, "FORBIDDEN");

    let (all, page) = staff.get("/api/v1/admin/orders?limit=5&sort=number").await?.list();
    assert_eq!((all.len(), page.total, &all[0]["number"]), (5, 12, &json!("ORD-1001")));
    let (his, _) = staff
        .get(&format!("/api/v1/admin/orders?userId={aiko}&limit=100"))
        .await?
        .list();
    assert_eq!(his, own);
    assert_eq!(
        staff.get("/api/v1/admin/orders?userId=x").await?.invalid_fields(),
        ["userId"]
    );
    assert_eq!(
        staff
            .get("/api/v1/admin/orders?status=lost&sort=tax")
            .await?
            .invalid_fields(),
        ["sort", "status"]
    );
    let (found, _) = staff
        .get("/api/v1/admin/orders?status=pending,refunded&source=ecommerce")
        .await?
        .list();
    assert_eq!(found.len(), 2);
    let (found, _) = staff.get("/api/v1/admin/orders?q=ord-1003").await?.list();
    assert_eq!(found.len(), 1);

    let before = app.statements();
    let id = own[0]["id"].as_str().unwrap();
    let order = user.get(&format!("/api/v1/orders/{id}")).await?.data(200);
    assert!(app.statements() - before <= 3);
    let items = order["items"].as_array().unwrap();
    let sum: f64 = items
        .iter()
        .map(|item| item["lineTotal"].as_str().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(format!("{sum:.2}"), order["subtotal"].as_str().unwrap());
    let wanted = [
        "id",
        "orderId",
        "kind",
        "refId",
        "title",
        "sku",
        "quantity",
        "unitPrice",
        "lineTotal",
        "position",
        "createdAt",
        "updatedAt",
    ];
    assert_eq!(items[0].as_object().unwrap().keys().collect::<Vec<_>>(), wanted);
    assert!(order["payments"].is_array() && order["refunds"].is_array());
    // Embedded rows look as they do by themselves.
    if let Some(payment) = order["payments"].as_array().unwrap().first() {
        let path = format!("/api/v1/sandbox/payment-intents/{}", payment["id"].as_str().unwrap());
        assert_eq!(&user.get(&path).await?.data(200), payment);
    }
    assert_eq!(staff.get(&format!("/api/v1/admin/orders/{id}")).await?.data(200), order);
    staff
        .get(&format!("/api/v1/orders/{id}"))
        .await?
        .error(404, "NOT_FOUND");
    app.other_user()
        .await?
        .get(&format!("/api/v1/orders/{id}"))
        .await?
        .error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_order_is_paid_by_card_once() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    let path = format!("/api/v1/orders/{}", pending(&app, AIKO).await?);
    let pay = |method: &str| json!({"payment": {"method": method, "card": {"number": "4000000000009995", "expMonth": 1, "expYear": 2099, "cvc": "123"}}});
    assert_eq!(
        user.post(&format!("{path}/pay"), &pay("on_delivery"))
            .await?
            .invalid_fields(),
        ["payment.method"]
    );
    app.other_user()
        .await?
        .post(&format!("{path}/pay"), &json!({}))
        .await?
        .error(404, "NOT_FOUND");

    let keyed = user.with("idempotency-key", "pay-1");
    for _ in 0..2 {
        let error = keyed
            .post(&format!("{path}/pay"), &pay("card"))
            .await?
            .error(402, "PAYMENT_DECLINED");
        assert_eq!(
            error["details"],
            json!([{"field": "card", "message": "insufficient_funds"}])
        );
    }
    let order = user.get(&path).await?.data(200);
    assert_eq!(order["status"], "pending");
    assert_eq!(order["payments"].as_array().unwrap().len(), 2);
    assert_eq!(order["payments"][0]["status"], "failed");
    assert_eq!(
        app.value("SELECT count(*) FROM emails WHERE template = 'core.order-paid'")
            .await?,
        "0"
    );

    let reply = keyed.post(&format!("{path}/pay"), &json!({})).await?;
    let paid = reply.data(200);
    assert_eq!(
        (&paid["status"], &paid["payments"][2]["amount"]),
        (&json!("paid"), &json!("108.00"))
    );
    assert!(paid["paidAt"].is_string());
    let again = keyed.post(&format!("{path}/pay"), &json!({})).await?;
    assert_eq!((again.header("idempotency-replayed"), again.data(200)), ("true", paid));
    user.post(&format!("{path}/pay"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    let mail = "SELECT to_email || ' ' || subject FROM emails WHERE template = 'core.order-paid'";
    assert!(app.value(mail).await?.starts_with(AIKO));
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE action = 'core.orders.pay'")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_payments_of_an_order_charge_once() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    let path = format!("/api/v1/orders/{}/pay", pending(&app, AIKO).await?);
    let (statuses, _) = at_once(&app, 6, &user, &path, &json!({})).await?;
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
    assert_eq!(
        app.value("SELECT count(*) FROM payments WHERE status = 'succeeded'")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_gives_the_coupon_back_once() -> Result<()> {
    let app = App::start(&[]).await?;
    let (user, staff) = (app.user().await?, app.staff().await?);
    let path = format!("/api/v1/orders/{}/cancel", pending(&app, AIKO).await?);
    assert_eq!(uses(&app).await?, "1/1");
    app.other_user()
        .await?
        .post(&path, &json!({}))
        .await?
        .error(404, "NOT_FOUND");
    let (statuses, _) = at_once(&app, 4, &user, &path, &json!({})).await?;
    assert_eq!(statuses, [200, 409, 409, 409]);
    assert_eq!(uses(&app).await?, "0/0");

    // Staff cancel anybody's, although they see only their own here.
    let path = format!("/api/v1/orders/{}", pending(&app, AIKO).await?);
    let order = staff.post(&format!("{path}/cancel"), &json!({})).await?.data(200);
    assert_eq!(
        (&order["status"], order["cancelledAt"].is_string()),
        (&json!("cancelled"), true)
    );
    assert_eq!(
        (&order["couponCode"], order["items"].as_array().unwrap().len()),
        (&json!("WELCOME10"), 1)
    );
    user.post(&format!("{path}/pay"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    staff
        .post(&format!("/api/v1/admin{}/mark-paid", &path[7..]), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_mark_paid_and_refund_in_parts() -> Result<()> {
    let app = App::start(&[]).await?;
    let (user, staff) = (app.user().await?, app.staff().await?);
    let path = format!("/api/v1/admin/orders/{}", pending(&app, AIKO).await?);
    let refund = format!("{path}/refund");
    staff
        .post(&refund, &json!({"reason": "no"}))
        .await?
        .error(409, "INVALID_STATE");
    user.post(&format!("{path}/mark-paid"), &json!({}))
        .await?
        .error(403, "FORBIDDEN");
    let paid = staff.post(&format!("{path}/mark-paid"), &json!({})).await?.data(200);
    assert_eq!((&paid["status"], &paid["payments"]), (&json!("paid"), &json!([])));
    assert_eq!(
        app.value("SELECT count(*) FROM emails WHERE template = 'core.order-paid'")
            .await?,
        "1"
    );

    assert_eq!(
        staff.post(&refund, &json!({"amount": "1"})).await?.invalid_fields(),
        ["reason"]
    );
    assert_eq!(
        staff
            .post(&refund, &json!({"amount": "0.00", "reason": "x"}))
            .await?
            .invalid_fields(),
        ["amount"]
    );
    assert_eq!(
        staff
            .post(&refund, &json!({"amount": "108.01", "reason": "x"}))
            .await?
            .invalid_fields(),
        ["amount"]
    );
    let part = staff
        .post(&refund, &json!({"amount": "8", "reason": "Late"}))
        .await?
        .data(200);
    assert_eq!(
        (&part["status"], &part["refundedTotal"]),
        (&json!("partially_refunded"), &json!("8.00"))
    );
    assert_eq!(
        (&part["refunds"][0]["amount"], &part["refunds"][0]["reason"]),
        (&json!("8.00"), &json!("Late"))
    );
    assert_eq!(uses(&app).await?, "1/1");
    let keyed = staff.with("idempotency-key", "refund-1");
    let all = keyed.post(&refund, &json!({"reason": "All of it"})).await?.data(200);
    assert_eq!(
        (&all["status"], &all["refundedTotal"]),
        (&json!("refunded"), &json!("108.00"))
    );
    assert_eq!(
        keyed.post(&refund, &json!({"reason": "All of it"})).await?.data(200),
        all
    );
    keyed
        .post(&refund, &json!({"reason": "Other"}))
        .await?
        .error(409, "IDEMPOTENCY_CONFLICT");
    assert_eq!(uses(&app).await?, "0/0");
    staff
        .post(&refund, &json!({"reason": "more"}))
        .await?
        .error(409, "INVALID_STATE");

    assert_eq!(
        app.value("SELECT count(*) FROM emails WHERE template = 'core.order-refunded'")
            .await?,
        "2"
    );
    let told = "SELECT count(*) FROM notifications n JOIN users u ON u.id = user_id
                WHERE kind = 'core.order-refunded' AND email = 'aiko.tanabe@preview.local'";
    assert_eq!(app.value(told).await?, "2");
    let audited = "SELECT count(*) FROM audit_logs WHERE action = 'core.admin-orders.refund'";
    assert_eq!(app.value(audited).await?, "2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refunds_never_exceed_the_total() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let path = format!("/api/v1/admin/orders/{}", pending(&app, AIKO).await?);
    staff.post(&format!("{path}/mark-paid"), &json!({})).await?.data(200);
    let body = json!({"amount": "50", "reason": "race"});
    let (statuses, fields) = at_once(&app, 8, &staff, &format!("{path}/refund"), &body).await?;
    assert_eq!(
        (statuses.as_slice(), fields),
        (&[200, 200, 422, 422, 422, 422, 422, 422][..], vec!["amount".to_owned()])
    );
    let order: Value = staff.get(&path).await?.data(200);
    assert_eq!(
        (&order["refundedTotal"], order["refunds"].as_array().unwrap().len()),
        (&json!("100.00"), 2)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_undoes_its_side_when_its_order_is_cancelled() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let id = app.value("SELECT id FROM orders WHERE status = 'pending'").await?;
    let shop = format!("FROM ecommerce_orders s WHERE s.order_id = '{id}'");
    let record = format!("SELECT orders_count FROM ecommerce_customers WHERE user_id = (SELECT user_id {shop})");
    let stock = "SELECT sum(stock) FROM ecommerce_products";
    let (orders, before): (i32, i32) = (app.value(&record).await?.parse()?, app.value(stock).await?.parse()?);
    let sold: i32 = app
        .value(&format!(
            "SELECT sum(quantity) FROM order_items WHERE order_id = '{id}'"
        ))
        .await?
        .parse()?;

    let path = format!("/api/v1/orders/{id}/cancel");
    app.sql(&format!(
        "UPDATE ecommerce_orders SET fulfilment = 'shipped' WHERE order_id = '{id}'"
    ))
    .await?;
    staff.post(&path, &json!({})).await?.error(409, "INVALID_STATE");
    assert_eq!(
        app.value(&format!("SELECT status FROM orders WHERE id = '{id}'"))
            .await?,
        "pending"
    );
    app.sql(&format!(
        "UPDATE ecommerce_orders SET fulfilment = 'processing' WHERE order_id = '{id}'"
    ))
    .await?;
    assert_eq!(staff.post(&path, &json!({})).await?.data(200)["status"], "cancelled");
    assert_eq!(app.value(&format!("SELECT fulfilment {shop}")).await?, "cancelled");
    assert_eq!(app.value(stock).await?, (before + sold).to_string());
    assert_eq!(app.value(&record).await?, (orders - 1).to_string());
    assert_eq!(
        app.value("SELECT count(*) FROM emails WHERE template = 'ecommerce.order-cancelled' AND NOT is_read")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_moves_later_shows_in_the_shops_customer_record() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let id = app.value("SELECT id FROM orders WHERE status = 'pending'").await?;
    let email = app
        .value(&format!("SELECT email FROM orders WHERE id = '{id}'"))
        .await?;
    let spent = "SELECT total_spent - (SELECT sum(total - refunded_total) FROM orders o WHERE o.user_id = c.user_id AND paid_at IS NOT NULL)
                 FROM ecommerce_customers c JOIN users u ON u.id = c.user_id";
    let spent = format!("{spent} WHERE email = '{email}'");
    assert_eq!(app.value(&spent).await?, "0.00");
    let buyer = app.sign_in(&email).await?;
    let paid = buyer
        .post(&format!("/api/v1/orders/{id}/pay"), &json!({}))
        .await?
        .data(200);
    assert_eq!(
        (&paid["status"], app.value(&spent).await?.as_str()),
        (&json!("paid"), "0.00")
    );
    let refund = format!("/api/v1/admin/orders/{id}/refund");
    let part = staff
        .post(&refund, &json!({"amount": "1.5", "reason": "Scratched"}))
        .await?
        .data(200);
    assert_eq!(part["refunds"][0]["paymentId"], paid["payments"][0]["id"]);
    assert_eq!(app.value(&spent).await?, "0.00");
    Ok(())
}

/// Runs a call so often at the same time; the statuses, sorted, and the one field that refusals of the form name.
async fn at_once(app: &Session, times: usize, api: &Api, path: &str, body: &Value) -> Result<(Vec<u16>, Vec<String>)> {
    let call = || {
        let (api, path, body) = (api.clone(), path.to_owned(), body.clone());
        async move { api.post(&path, &body).await }
    };
    let replies = app.race((0..times).map(|_| call())).await?;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status().as_u16()).collect();
    statuses.sort_unstable();
    let mut fields: Vec<String> = replies
        .iter()
        .filter(|reply| reply.status() == 422)
        .flat_map(testkit::Reply::invalid_fields)
        .collect();
    fields.dedup();
    Ok((statuses, fields))
}
