//! The cart of visitors and users.

use anyhow::Result;
use serde_json::{Value, json};

use super::product;
use crate::harness::App;

const CART: &str = "/api/v1/ecommerce/cart";

#[tokio::test(flavor = "multi_thread")]
async fn a_visitors_cart_lives_by_its_token() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let visitor = app.visitor();
    let empty = visitor.get(CART).await?.data(200);
    assert_eq!(
        (&empty["total"], &empty["itemCount"], &empty["cartToken"]),
        (&json!("0.00"), &json!(0), &Value::Null)
    );
    let lamp = product(&app, "LAMP-001").await?;
    let cart = visitor
        .post(&format!("{CART}/items"), &json!({"productId": lamp}))
        .await?
        .data(201);
    let token = cart["cartToken"].as_str().unwrap_or_default().to_owned();
    assert!(token.len() >= 40);
    assert_eq!(
        (&cart["subtotal"], &cart["shipping"], &cart["tax"], &cart["total"]),
        (&json!("49.00"), &json!("5.90"), &json!("3.92"), &json!("58.82"))
    );
    assert_eq!(
        visitor.get(CART).await?.data(200)["itemCount"],
        0,
        "without the token it is nobody's"
    );
    let holder = visitor.with("x-cart-token", &token);
    let twice = holder
        .post(&format!("{CART}/items"), &json!({"productId": lamp, "quantity": 1}))
        .await?
        .data(201);
    assert_eq!(
        (&twice["itemCount"], &twice["shipping"]),
        (&json!(2), &json!("0.00")),
        "98.00 ships free"
    );
    let line = format!("{CART}/items/{}", twice["items"][0]["id"].as_str().unwrap_or_default());
    visitor
        .patch(&line, &json!({"quantity": 3}))
        .await?
        .error(404, "NOT_FOUND");
    visitor
        .with("x-cart-token", "unknown")
        .patch(&line, &json!({"quantity": 3}))
        .await?
        .error(404, "NOT_FOUND");
    assert_eq!(
        holder.patch(&line, &json!({"quantity": 3})).await?.data(200)["subtotal"],
        "147.00"
    );
    assert_eq!(
        holder
            .patch(&line, &json!({"quantity": 26}))
            .await?
            .error(409, "OUT_OF_STOCK")["details"][0]["message"],
        "25"
    );
    assert_eq!(
        holder.get(CART).await?.data(200)["items"][0]["quantity"],
        3,
        "a refused change changes nothing"
    );
    for wrong in [
        json!({"quantity": 0}),
        json!({"quantity": 100}),
        json!({"quantity": "3"}),
        json!({}),
    ] {
        holder.patch(&line, &wrong).await?.error(422, "VALIDATION_ERROR");
    }
    assert_eq!(holder.delete(&line).await?.data(200)["items"], json!([]));
    holder.delete(&line).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_active_products_in_stock_go_into_a_cart() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let add = async |sku: &str, quantity: i32| {
        anyhow::Ok(
            app.visitor()
                .post(
                    &format!("{CART}/items"),
                    &json!({"productId": product(&app, sku).await?, "quantity": quantity}),
                )
                .await?,
        )
    };
    add("DRAFT-012", 1).await?.error(422, "VALIDATION_ERROR");
    assert_eq!(
        add("BAG-003", 1).await?.error(409, "OUT_OF_STOCK")["details"][0],
        json!({"field": "quantity", "message": "0"})
    );
    add("MUG-002", 4).await?.error(409, "OUT_OF_STOCK");
    assert_eq!(
        app.value("SELECT count(*) FROM ecommerce_carts").await?,
        "1",
        "a refused line makes no cart"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_shows_on_the_line_and_is_no_error() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    for sku in ["MUG-002", "LAMP-001"] {
        user.post(
            &format!("{CART}/items"),
            &json!({"productId": product(&app, sku).await?, "quantity": 2}),
        )
        .await?
        .data(201);
    }
    app.sql("UPDATE ecommerce_products SET stock = 1 WHERE sku = 'MUG-002'; UPDATE ecommerce_products SET status = 'archived' WHERE sku = 'LAMP-001'").await?;
    let cart = user.get(CART).await?.data(200);
    let issues: Vec<&Value> = cart["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| &line["issue"])
        .collect();
    assert_eq!(issues, [&json!("OUT_OF_STOCK"), &json!("PRODUCT_UNAVAILABLE")]);
    assert_eq!(cart["items"][0]["available"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn coupons_count_while_they_hold() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    // A user has a cart, though there is nothing in it yet; a visitor has none.
    let coupon = json!({"code": "WELCOME10"});
    let path = format!("{CART}/coupon");
    app.visitor().put(&path, &coupon).await?.error(404, "NOT_FOUND");
    user.delete(&path).await?.data(200);
    assert_eq!(user.put(&path, &coupon).await?.data(200)["couponCode"], "WELCOME10");
    assert_eq!(user.get(CART).await?.data(200)["couponCode"], "WELCOME10");
    let lamp = product(&app, "LAMP-001").await?;
    let cart = user
        .post(&format!("{CART}/items"), &json!({"productId": lamp}))
        .await?
        .data(201);
    for (code, issue) in [("NOPE", "unknown"), ("SPRING20", "expired")] {
        assert_eq!(
            user.put(&format!("{CART}/coupon"), &json!({"code": code}))
                .await?
                .error(422, "COUPON_INVALID")["details"][0],
            json!({"field": "couponCode", "message": issue})
        );
    }
    let with = user
        .put(&format!("{CART}/coupon"), &json!({"code": "save5"}))
        .await?
        .data(200);
    assert_eq!(
        (&with["couponCode"], &with["discount"], &with["couponIssue"]),
        (&json!("SAVE5"), &json!("5.00"), &Value::Null)
    );
    app.sql("UPDATE ecommerce_products SET price = 39 WHERE sku = 'LAMP-001'")
        .await?;
    let later = user.get(CART).await?.data(200);
    assert_eq!(
        (&later["discount"], &later["couponIssue"]),
        (&json!("0.00"), &json!("minimum_not_met"))
    );
    assert_eq!(
        user.delete(&format!("{CART}/coupon")).await?.data(200)["couponCode"],
        Value::Null
    );
    assert_eq!(user.delete(CART).await?.data(200)["itemCount"], 0);
    drop(cart);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitors_cart_is_merged_at_sign_in() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (lamp, mug) = (product(&app, "LAMP-001").await?, product(&app, "MUG-002").await?);
    let add = |product: &str, quantity: i32| json!({"productId": product, "quantity": quantity});
    let items = format!("{CART}/items");
    let token = app.visitor().post(&items, &add(&mug, 2)).await?.data(201)["cartToken"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let holder = app.visitor().with("x-cart-token", &token);
    holder.post(&items, &add(&lamp, 1)).await?.data(201);
    let user = app.user().await?;
    user.post(&items, &add(&mug, 2)).await?.data(201);
    let merged = user
        .post(&format!("{CART}/merge"), &json!({"cartToken": token}))
        .await?
        .data(200);
    let quantity = |product: &str| {
        merged["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|line| line["productId"] == product)
            .map(|line| line["quantity"].clone())
    };
    assert_eq!(
        (quantity(&mug), quantity(&lamp)),
        (Some(json!(3)), Some(json!(1))),
        "cut to stock"
    );
    assert_eq!(
        holder.get(CART).await?.data(200)["itemCount"],
        0,
        "the other cart is gone"
    );
    let again = user
        .post(&format!("{CART}/merge"), &json!({"cartToken": token}))
        .await?
        .data(200);
    assert_eq!(again["itemCount"], 4, "an unknown token changes nothing");
    app.visitor()
        .post(&format!("{CART}/merge"), &json!({"cartToken": token}))
        .await?
        .error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_of_another_session_is_unknown_here() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let other = app.session(&["ecommerce"]).await?;
    let lamp = product(&app, "LAMP-001").await?;
    let token = app
        .visitor()
        .post(&format!("{CART}/items"), &json!({"productId": lamp}))
        .await?
        .data(201)["cartToken"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(
        other.visitor().with("x-cart-token", &token).get(CART).await?.data(200)["itemCount"],
        0
    );
    other
        .visitor()
        .post(&format!("{CART}/items"), &json!({"productId": lamp}))
        .await?
        .error(422, "VALIDATION_ERROR");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_of_what_is_in_a_cart_needs_no_further_row() -> Result<()> {
    let app = App::builder()
        .set("MAX_ROWS_PER_TABLE", "60")
        .start(&["ecommerce"])
        .await?;
    let user = app.user().await?;
    let add = async |sku: &str, quantity: i32| {
        let line = json!({"productId": product(&app, sku).await?, "quantity": quantity});
        anyhow::Ok(user.post(&format!("{CART}/items"), &line).await?)
    };
    add("LAMP-001", 1).await?.data(201);
    app.sql(
        "INSERT INTO ecommerce_carts (id, token_hash) SELECT gen_random_uuid(), n::text FROM generate_series(1, 40) n; \
         INSERT INTO ecommerce_cart_items (id, cart_id, product_id, quantity) \
         SELECT gen_random_uuid(), c.id, p.id, 1 FROM ecommerce_carts c, ecommerce_products p \
         WHERE p.sku IN ('CARD-009', 'VASE-006') AND c.token_hash IS NOT NULL LIMIT 60 - (SELECT count(*) FROM ecommerce_cart_items)",
    )
    .await?;
    assert_eq!(app.value("SELECT count(*) FROM ecommerce_cart_items").await?, "60");
    add("LAMP-001", 1).await?.data(201);
    add("MUG-002", 4).await?.error(409, "OUT_OF_STOCK");
    add("MUG-002", 1).await?.error(409, "ROW_LIMIT_REACHED");
    assert_eq!(app.value("SELECT count(*) FROM ecommerce_cart_items").await?, "60");
    Ok(())
}
