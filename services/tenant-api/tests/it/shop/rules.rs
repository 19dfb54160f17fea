//! Rules of the shop that only show where two things meet.

use anyhow::Result;
use serde_json::{Value, json};

use super::{address, product};
use crate::harness::{App, Session};

const SHOP: &str = "/api/v1/ecommerce";
const CART: &str = "/api/v1/ecommerce/cart";

fn id(row: &Value) -> String {
    row["id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_short_is_named_by_its_place_in_the_cart() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    // Whatever the order of their ids, the mug is the second line.
    for sku in ["LAMP-001", "MUG-002"] {
        let line = json!({"productId": product(&app, sku).await?, "quantity": 2});
        let reply = user.post(&format!("{CART}/items"), &line).await?;
        reply.data(201);
        assert_eq!(reply.header("location"), CART);
    }
    for (sku, place) in [("MUG-002", 1), ("LAMP-001", 0)] {
        let restore = format!(
            "UPDATE ecommerce_products SET stock = 20 WHERE sku IN ('LAMP-001', 'MUG-002'); \
                               UPDATE ecommerce_products SET stock = 1 WHERE sku = '{sku}'"
        );
        app.sql(&restore).await?;
        let refused = user
            .post(&format!("{CART}/checkout"), &json!({"address": address()}))
            .await?
            .error(409, "OUT_OF_STOCK");
        let expected = json!([{"field": format!("items[{place}].quantity"), "message": "1"}]);
        assert_eq!(refused["details"], expected);
    }
    Ok(())
}

async fn movements(session: &Session) -> Result<String> {
    session.value("SELECT count(*) FROM ecommerce_stock_movements").await
}

#[tokio::test(flavor = "multi_thread")]
async fn movements_of_stock_stop_at_the_row_limit() -> Result<()> {
    // 37 movements are there.
    let app = App::builder()
        .set("MAX_ROWS_PER_TABLE", "38")
        .start(&["ecommerce"])
        .await?;
    let (staff, lamp) = (app.staff().await?, product(&app, "LAMP-001").await?);
    let take = |n: i32| {
        let (staff, lamp) = (staff.clone(), lamp.clone());
        async move {
            staff
                .post(&format!("{SHOP}/products/{lamp}/stock"), &json!({"delta": n}))
                .await
        }
    };
    let replies = app.race((1..=6).map(take)).await?;
    let made = replies.iter().filter(|reply| reply.status() == 200).count();
    assert_eq!(made, 1);
    for reply in replies.iter().filter(|reply| reply.status() != 200) {
        reply.error(409, "ROW_LIMIT_REACHED");
    }
    assert_eq!(movements(&app).await?, "38");
    // Putting goods back is a movement too.
    let order = app
        .value("SELECT id FROM ecommerce_orders WHERE fulfilment = 'processing' ORDER BY id LIMIT 1")
        .await?;
    staff
        .post(&format!("{SHOP}/orders/{order}/cancel"), &json!({}))
        .await?
        .error(409, "ROW_LIMIT_REACHED");
    let state = format!("SELECT fulfilment FROM ecommerce_orders WHERE id = '{order}'");
    assert_eq!(app.value(&state).await?, "processing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_stays_within_its_limits_and_ids_are_ordered_by_time() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, lamp) = (app.staff().await?, product(&app, "LAMP-001").await?);
    let path = format!("{SHOP}/products/{lamp}/stock");
    let named = staff.post(&path, &json!({"delta": 99_976})).await?.invalid_fields();
    assert_eq!(named, ["delta"]);
    assert_eq!(
        staff.post(&path, &json!({"delta": 99_975})).await?.data(200)["stock"],
        100_000
    );
    let order = app
        .value("SELECT id FROM ecommerce_orders WHERE fulfilment = 'processing' ORDER BY id LIMIT 1")
        .await?;
    staff
        .post(&format!("{SHOP}/orders/{order}/cancel"), &json!({}))
        .await?
        .data(200);
    let odd = "SELECT count(*) FROM ecommerce_stock_movements WHERE substr(id::text, 15, 1) <> '7'";
    assert_eq!(app.value(odd).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_pair_is_told_field_by_field() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, lamp) = (app.staff().await?, product(&app, "LAMP-001").await?);
    let upload = app
        .value(&format!(
            "SELECT upload_id FROM ecommerce_product_images WHERE product_id = '{lamp}'"
        ))
        .await?;
    let taken = staff
        .post(&format!("{SHOP}/products/{lamp}/images"), &json!({"uploadId": upload}))
        .await?
        .error(409, "CONFLICT");
    let fields: Vec<&Value> = taken["details"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|detail| &detail["field"])
        .collect();
    assert_eq!(fields, [&json!("productId"), &json!("uploadId")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_shipping_can_be_never_free() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (admin, user) = (app.admin().await?, app.user().await?);
    let line = json!({"productId": product(&app, "LAMP-001").await?, "quantity": 2});
    let cart = user.post(&format!("{CART}/items"), &line).await?.data(201);
    assert_eq!(cart["shipping"], "0.00", "98.00 ships free");
    let never = json!({"settings": {"ecommerce.freeShippingFrom": null}});
    let settings = admin.patch("/api/v1/settings", &never).await?.data(200);
    assert_eq!(settings["settings"]["ecommerce.freeShippingFrom"], Value::Null);
    assert_eq!(user.get(CART).await?.data(200)["shipping"], "5.90");
    let again = json!({"settings": {"ecommerce.freeShippingFrom": "75"}});
    let settings = admin.patch("/api/v1/settings", &again).await?.data(200);
    assert_eq!(settings["settings"]["ecommerce.freeShippingFrom"], "75.00");
    assert_eq!(user.get(CART).await?.data(200)["shipping"], "0.00");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_that_no_amount_can_hold_are_refused_and_not_a_fault_of_ours() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, user) = (app.staff().await?, app.user().await?);
    let lamp = product(&app, "LAMP-001").await?;
    let price = json!({"price": "9999999999.99"});
    staff.patch(&format!("{SHOP}/products/{lamp}"), &price).await?.data(200);
    let line = json!({"productId": lamp, "quantity": 2});
    let cart = user.post(&format!("{CART}/items"), &line).await?.data(201);
    assert_eq!(cart["subtotal"], "19999999999.98");
    user.post(&format!("{CART}/checkout"), &json!({"address": address()}))
        .await?
        .error(422, "VALIDATION_ERROR");
    assert_eq!(user.get(CART).await?.data(200)["itemCount"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_is_told_of_own_pieces_only() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let seller = app
        .value("SELECT id FROM ecommerce_sellers WHERE slug = 'hillside-makers'")
        .await?;
    let own = app
        .value(&format!(
            "SELECT id FROM ecommerce_products WHERE seller_id = '{seller}' AND stock > 5 AND status = 'active' LIMIT 1"
        ))
        .await?;
    let user = app.user().await?;
    for (product, quantity) in [(own, 1), (product(&app, "LAMP-001").await?, 4)] {
        let line = json!({"productId": product, "quantity": quantity});
        user.post(&format!("{CART}/items"), &line).await?.data(201);
    }
    let order = user
        .post(&format!("{CART}/checkout"), &json!({"address": address()}))
        .await?
        .data(201);
    assert_eq!(order["itemCount"], 5);
    let path = format!("{SHOP}/orders/{}", id(&order));
    let seen = app.other_user().await?.get(&path).await?.data(200);
    assert_eq!((&seen["itemCount"], &seen["total"]), (&json!(1), &Value::Null));
    assert_eq!(app.staff().await?.get(&path).await?.data(200)["itemCount"], 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_of_a_deleted_user_count_no_more() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let lamp = product(&app, "LAMP-001").await?;
    app.sql(&format!("DELETE FROM ecommerce_reviews WHERE product_id = '{lamp}'"))
        .await?;
    let (aiko, lena) = (app.user().await?, app.sign_in("lena.brandt@preview.local").await?);
    for (api, rating) in [(&aiko, 5), (&lena, 2)] {
        let review = json!({"productId": lamp, "rating": rating});
        api.post(&format!("{SHOP}/reviews"), &review).await?.data(201);
    }
    let path = format!("{SHOP}/products/{lamp}");
    let shown = app.visitor().get(&path).await?.data(200);
    assert_eq!(
        (&shown["ratingAverage"], &shown["ratingCount"]),
        (&json!("3.50"), &json!(2))
    );
    let user = app.user_id("lena.brandt@preview.local").await?;
    app.admin()
        .await?
        .delete(&format!("/api/v1/users/{user}"))
        .await?
        .data(200);
    let shown = app.visitor().get(&path).await?.data(200);
    assert_eq!(
        (&shown["ratingAverage"], &shown["ratingCount"]),
        (&json!("5.00"), &json!(1))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn markdown_is_kept_as_it_was_sent() -> Result<()> {
    let app = App::start(&[]).await?;
    let answer = "    code\n\n<b>bold</b> \u{202e}x\u{202c}\n";
    let made = app
        .staff()
        .await?
        .post("/api/v1/faqs", &json!({"question": " Q ", "answer": answer}))
        .await?
        .data(201);
    assert_eq!((&made["question"], &made["answer"]), (&json!("Q"), &json!(answer)));
    Ok(())
}

/// How many notifications of a kind a user has.
async fn told(session: &Session, email: &str, kind: &str) -> Result<String> {
    let sql = format!(
        "SELECT count(*) FROM notifications n JOIN users u ON u.id = n.user_id WHERE u.email = '{email}' AND n.kind = '{kind}'"
    );
    session.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_what_concerns_them() -> Result<()> {
    const ADA: &str = "admin@preview.local";
    const MIRA: &str = "mira.solberg@preview.local";
    const AIKO: &str = "aiko.tanabe@preview.local";
    let app = App::start(&["ecommerce"]).await?;
    app.sql("DELETE FROM notifications").await?;
    let (mira, aiko) = (app.staff().await?, app.user().await?);
    let lamp = product(&app, "LAMP-001").await?;
    // 25 lamps; low at 5.
    let line = json!({"productId": lamp, "quantity": 20});
    aiko.post(&format!("{CART}/items"), &line).await?.data(201);
    let order = aiko
        .post(&format!("{CART}/checkout"), &json!({"address": address()}))
        .await?
        .data(201);
    for kind in ["ecommerce.order-placed", "ecommerce.low-stock"] {
        let counts = [
            told(&app, ADA, kind).await?,
            told(&app, MIRA, kind).await?,
            told(&app, AIKO, kind).await?,
        ];
        assert_eq!(counts, ["1", "1", "0"], "{kind}");
    }
    // It fell once more. Nothing is news to whoever causes it.
    let stock = format!("{SHOP}/products/{lamp}/stock");
    mira.post(&stock, &json!({"delta": -1})).await?.data(200);
    mira.post(&stock, &json!({"delta": 10})).await?.data(200);
    mira.post(&stock, &json!({"delta": -10})).await?.data(200);
    let low = [
        told(&app, ADA, "ecommerce.low-stock").await?,
        told(&app, MIRA, "ecommerce.low-stock").await?,
    ];
    assert_eq!(low, ["3", "1"]);
    let off = json!({"settings": {"ecommerce.lowStockAlert": false}});
    app.admin().await?.patch("/api/v1/settings", &off).await?.data(200);
    mira.post(&stock, &json!({"delta": 10})).await?.data(200);
    mira.post(&stock, &json!({"delta": -10})).await?.data(200);
    assert_eq!(told(&app, ADA, "ecommerce.low-stock").await?, "3");

    let path = format!("{SHOP}/orders/{}", id(&order));
    let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
    mira.post(&format!("{path}/ship"), &parcel).await?.data(200);
    mira.post(&format!("{path}/deliver"), &json!({})).await?.data(200);
    mira.post(&format!("{path}/return"), &json!({"reason": "broken"}))
        .await?
        .data(200);
    assert_eq!(told(&app, AIKO, "ecommerce.order-status").await?, "3");
    assert_eq!(told(&app, MIRA, "ecommerce.order-status").await?, "0");

    app.sql("DELETE FROM ecommerce_reviews").await?;
    let review = json!({"productId": lamp, "rating": 4});
    aiko.post(&format!("{SHOP}/reviews"), &review).await?.data(201);
    let kind = "ecommerce.review-posted";
    let counts = [
        told(&app, ADA, kind).await?,
        told(&app, MIRA, kind).await?,
        told(&app, AIKO, kind).await?,
    ];
    assert_eq!(counts, ["1", "1", "0"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_wait_for_staff_when_the_shop_wants_it() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, user, lamp) = (app.staff().await?, app.user().await?, product(&app, "LAMP-001").await?);
    app.sql("DELETE FROM ecommerce_reviews").await?;
    let off = json!({"settings": {"ecommerce.reviewsAutoPublish": false}});
    app.admin().await?.patch("/api/v1/settings", &off).await?.data(200);
    let reviews = format!("{SHOP}/reviews");
    let made = user
        .post(&reviews, &json!({"productId": lamp, "rating": 4}))
        .await?
        .data(201);
    assert_eq!(made["status"], "pending");
    let path = format!("{reviews}/{}", id(&made));
    app.visitor().get(&path).await?.error(404, "NOT_FOUND");
    let product = format!("{SHOP}/products/{lamp}");
    assert_eq!(app.visitor().get(&product).await?.data(200)["ratingCount"], 0);
    staff.patch(&path, &json!({"status": "published"})).await?.data(200);
    assert_eq!(app.visitor().get(&product).await?.data(200)["ratingCount"], 1);
    // A change waits again, and does not count as long.
    assert_eq!(
        user.patch(&path, &json!({"rating": 5})).await?.data(200)["status"],
        "pending"
    );
    assert_eq!(app.visitor().get(&product).await?.data(200)["ratingCount"], 0);
    // So do those of staff, unless they say what becomes of them.
    let own = staff
        .post(&reviews, &json!({"productId": lamp, "rating": 3}))
        .await?
        .data(201);
    assert_eq!(own["status"], "pending");
    let path = format!("{reviews}/{}", id(&own));
    let said = json!({"rating": 2, "status": "published"});
    assert_eq!(staff.patch(&path, &said).await?.data(200)["status"], "published");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_and_tax_follow_the_settings_and_the_cart_agrees_with_the_order() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    let change = json!({"settings": {
        "orders.taxRate": "12.5",
        "ecommerce.shippingStandard": "3",
        "ecommerce.shippingExpress": "20.05",
        "ecommerce.freeShippingFrom": "60",
    }});
    app.admin().await?.patch("/api/v1/settings", &change).await?.data(200);
    let line = json!({"productId": product(&app, "LAMP-001").await?, "quantity": 1});
    let cart = user.post(&format!("{CART}/items"), &line).await?.data(201);
    // 49.00, 12.5 % of it is 6.125: half a cent goes up.
    assert_eq!(
        [&cart["shipping"], &cart["tax"], &cart["total"]],
        [&json!("3.00"), &json!("6.13"), &json!("58.13")]
    );
    let express = json!({"address": address(), "shippingMethod": "express", "expectedTotal": "58.13"});
    let changed = user
        .post(&format!("{CART}/checkout"), &express)
        .await?
        .error(409, "TOTAL_CHANGED");
    assert_eq!(
        changed["details"],
        json!([{"field": "expectedTotal", "message": "75.18"}])
    );
    let standard = json!({"address": address(), "expectedTotal": "58.13"});
    let order = user.post(&format!("{CART}/checkout"), &standard).await?.data(201);
    assert_eq!([&order["shipping"], &order["total"]], [&json!("3.00"), &json!("58.13")]);
    Ok(())
}
