//! Reviews, customers and sellers.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use super::product;
use crate::harness::App;

const REVIEWS: &str = "/api/v1/ecommerce/reviews";
const SELLERS: &str = "/api/v1/ecommerce/sellers";

#[tokio::test(flavor = "multi_thread")]
async fn a_products_rating_follows_its_published_reviews_also_at_once() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let bag = product(&app, "BAG-003").await?;
    app.sql(&format!("DELETE FROM ecommerce_reviews WHERE product_id = '{bag}'"))
        .await?;
    let mut critics = Vec::new();
    for (i, rating) in [5, 4, 4, 2].into_iter().enumerate() {
        let email = format!("critic{i}@preview.local");
        app.sql(&format!("INSERT INTO users (id, email, password_hash, name) VALUES (gen_random_uuid(), '{email}', 'x', 'Critic {i}')")).await?;
        critics.push((app.sign_in(&email).await?, bag.clone(), rating));
    }
    let write = |(user, bag, rating): (Api, String, i32)| async move {
        user.post(REVIEWS, &json!({"productId": bag, "rating": rating})).await
    };
    for reply in app.race(critics.into_iter().map(write)).await? {
        let made = reply.data(201);
        assert_eq!(
            (&made["isVerified"], &made["author"]["id"]),
            (&json!(false), &made["userId"])
        );
        assert!(made["author"].get("email").is_none());
    }
    let rated = async |app: &App| app.visitor().get("/api/v1/ecommerce/products/canvas-weekender").await;
    let shown = rated(&app).await?.data(200);
    assert_eq!(
        (&shown["ratingAverage"], &shown["ratingCount"]),
        (&json!("3.75"), &json!(4))
    );
    let summary = app
        .visitor()
        .get(&format!("{REVIEWS}/summary?productId={bag}"))
        .await?
        .data(200);
    assert_eq!(
        summary,
        json!({"average": "3.75", "count": 4, "byRating": {"1": 0, "2": 1, "3": 0, "4": 2, "5": 1}})
    );

    let critic = app.sign_in("critic3@preview.local").await?;
    critic
        .post(REVIEWS, &json!({"productId": bag, "rating": 1}))
        .await?
        .error(409, "ALREADY_REVIEWED");
    let own = app.value(&format!("SELECT r.id FROM ecommerce_reviews r JOIN users u ON u.id = r.user_id WHERE u.name = 'Critic 3' AND product_id = '{bag}'")).await?;
    critic
        .patch(&format!("{REVIEWS}/{own}"), &json!({"status": "published"}))
        .await?
        .error(403, "FORBIDDEN");
    app.user()
        .await?
        .patch(&format!("{REVIEWS}/{own}"), &json!({"rating": 5}))
        .await?
        .error(403, "FORBIDDEN");
    critic.delete(&format!("{REVIEWS}/{own}")).await?.data(200);
    let shown = rated(&app).await?.data(200);
    assert_eq!(
        (&shown["ratingAverage"], &shown["ratingCount"]),
        (&json!("4.33"), &json!(3))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_published_reviews_and_own_ones_are_seen() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    assert_eq!(app.visitor().get(REVIEWS).await?.list().1.total, 9);
    assert_eq!(
        app.staff()
            .await?
            .get(&format!("{REVIEWS}?status=pending"))
            .await?
            .list()
            .1
            .total,
        1
    );
    let pending = app
        .sql(
            "SELECT r.id, u.email FROM ecommerce_reviews r JOIN users u ON u.id = r.user_id WHERE r.status = 'pending'",
        )
        .await?;
    let (id, email) = (
        pending[0][0].clone().unwrap_or_default(),
        pending[0][1].clone().unwrap_or_default(),
    );
    app.visitor()
        .get(&format!("{REVIEWS}/{id}"))
        .await?
        .error(404, "NOT_FOUND");
    app.sign_in(&email)
        .await?
        .get(&format!("{REVIEWS}/{id}"))
        .await?
        .data(200);
    let draft = product(&app, "DRAFT-012").await?;
    app.user()
        .await?
        .post(REVIEWS, &json!({"productId": draft, "rating": 5}))
        .await?
        .error(422, "VALIDATION_ERROR");
    for rating in [json!(0), json!(6), json!("5"), json!(4.5), Value::Null] {
        app.user()
            .await?
            .post(REVIEWS, &json!({"productId": draft, "rating": rating}))
            .await?
            .error(422, "VALIDATION_ERROR");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_is_approved_sells_own_products_and_is_suspended() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (admin, user) = (app.admin().await?, app.user().await?);
    let made = user
        .post(
            &format!("{SELLERS}/apply"),
            &json!({"name": "Aiko's Attic", "email": "attic@example.org"}),
        )
        .await?
        .data(201);
    assert_eq!(
        (&made["status"], &made["slug"], &made["commissionRate"]),
        (&json!("pending"), &json!("aiko-s-attic"), &json!("12.00"))
    );
    user.post(
        &format!("{SELLERS}/apply"),
        &json!({"name": "Second", "email": "attic@example.org"}),
    )
    .await?
    .error(409, "CONFLICT");
    let one = format!("{SELLERS}/{}", made["id"].as_str().unwrap_or_default());
    app.visitor().get(&one).await?.error(404, "NOT_FOUND");
    let category = app.value("SELECT id FROM ecommerce_categories LIMIT 1").await?;
    let body =
        json!({"sku": "ATTIC-1", "name": "Old radio", "price": "20", "categoryId": category, "status": "active"});
    user.post("/api/v1/ecommerce/products", &body)
        .await?
        .error(403, "FORBIDDEN");
    app.staff()
        .await?
        .post(&format!("{one}/approve"), &json!({}))
        .await?
        .error(403, "FORBIDDEN");
    assert_eq!(
        admin.post(&format!("{one}/approve"), &json!({})).await?.data(200)["status"],
        "approved"
    );
    admin
        .post(&format!("{one}/approve"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    let shown = app.visitor().get(&one).await?.data(200);
    assert!(
        shown.get("email").is_none() && shown.get("commissionRate").is_none(),
        "the seller's own business"
    );

    let radio = user.post("/api/v1/ecommerce/products", &body).await?.data(201);
    assert_eq!(radio["sellerId"], made["id"]);
    let lamp = format!("/api/v1/ecommerce/products/{}", product(&app, "LAMP-001").await?);
    user.patch(&lamp, &json!({"price": "1.00"}))
        .await?
        .error(403, "FORBIDDEN");
    user.post(
        "/api/v1/ecommerce/products",
        &json!({"sku": "ATTIC-2", "name": "X", "price": "1", "categoryId": category, "sellerId": made["id"]}),
    )
    .await?
    .error(403, "FORBIDDEN");
    admin.post(&format!("{one}/suspend"), &json!({})).await?.data(200);
    let status = app
        .value("SELECT status FROM ecommerce_products WHERE sku = 'ATTIC-1'")
        .await?;
    assert_eq!(status, "draft");
    assert_eq!(
        app.visitor()
            .get("/api/v1/sandbox/emails?template=ecommerce.seller-decision")
            .await?
            .list()
            .1
            .total,
        2
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_sees_what_was_earned_and_others_do_not() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let one = format!(
        "{SELLERS}/{}/summary",
        app.value("SELECT id FROM ecommerce_sellers WHERE slug = 'hillside-makers'")
            .await?
    );
    let earned = app.other_user().await?.get(&one).await?.data(200);
    assert_eq!(earned["products"], 3);
    let amount = |name: &str| {
        earned[name]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(-1.0)
    };
    assert!((amount("gross") - amount("commission") - amount("net")).abs() < 0.001 && amount("gross") > 0.0);
    app.user().await?.get(&one).await?.error(403, "FORBIDDEN");
    app.visitor().get(&one).await?.error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_for_staff_and_for_themselves() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let customers = "/api/v1/ecommerce/customers";
    app.user().await?.get(customers).await?.error(403, "FORBIDDEN");
    let (rows, page) = app.staff().await?.get(&format!("{customers}?q=aiko")).await?.list();
    assert_eq!((page.total, &rows[0]["name"]), (1, &json!("Aiko Tanabe")));
    assert!(rows[0].get("notes").is_some());
    let one = format!("{customers}/{}", rows[0]["id"].as_str().unwrap_or_default());
    let own = app
        .user()
        .await?
        .patch(&one, &json!({"marketingOptIn": true}))
        .await?
        .data(200);
    assert_eq!(own["marketingOptIn"], true);
    assert!(own.get("notes").is_none());
    app.user()
        .await?
        .patch(&one, &json!({"notes": "nice"}))
        .await?
        .error(403, "FORBIDDEN");
    app.other_user().await?.get(&one).await?.error(404, "NOT_FOUND");
    let segments: u64 = {
        let mut sum = 0;
        for segment in ["new", "returning", "vip"] {
            sum += app
                .staff()
                .await?
                .get(&format!("{customers}?segment={segment}"))
                .await?
                .list()
                .1
                .total;
        }
        sum
    };
    assert_eq!(segments, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_answers_reviews_that_are_seen_and_no_others() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let noah = app.other_user().await?;
    let pending = app
        .value("SELECT id FROM ecommerce_reviews WHERE status = 'pending'")
        .await?;
    let reply = json!({"reply": "Thank you"});
    noah.post(&format!("{REVIEWS}/{pending}/reply"), &reply)
        .await?
        .error(404, "NOT_FOUND");
    app.staff()
        .await?
        .post(&format!("{REVIEWS}/{pending}/reply"), &reply)
        .await?
        .data(200);
    for (rating, status) in [("0", 422), ("-1", 422), ("6", 422), ("5", 200)] {
        let found = app.visitor().get(&format!("{REVIEWS}?rating={rating}")).await?;
        assert_eq!(found.status(), status, "{rating}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_whole_verifies_no_review() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let lena = app.sign_in("lena.brandt@preview.local").await?;
    let vase = product(&app, "VASE-006").await?;
    app.sql("DELETE FROM ecommerce_reviews").await?;
    let body = json!({"productId": vase, "rating": 3});
    assert_eq!(lena.post(REVIEWS, &body).await?.data(201)["isVerified"], false);
    app.sql("DELETE FROM ecommerce_reviews; UPDATE orders SET status = 'partially_refunded' WHERE status = 'refunded'")
        .await?;
    assert_eq!(lena.post(REVIEWS, &body).await?.data(201)["isVerified"], true);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_reviews_at_once_one_is_kept_and_the_others_are_told_so() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let bag = product(&app, "BAG-003").await?;
    app.sql("DELETE FROM ecommerce_reviews").await?;
    let user = app.user().await?;
    let write =
        |(user, bag): (Api, String)| async move { user.post(REVIEWS, &json!({"productId": bag, "rating": 4})).await };
    let replies = app.race((0..4).map(|_| write((user.clone(), bag.clone())))).await?;
    let (made, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status() == 201);
    assert_eq!(made.len(), 1);
    for reply in refused {
        reply.error(409, "ALREADY_REVIEWED");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_product_of_a_suspended_seller_stays_active_though_the_seller_writes_meanwhile() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (noah, admin) = (app.other_user().await?, app.admin().await?);
    let seller = app
        .value("SELECT id FROM ecommerce_sellers WHERE slug = 'hillside-makers'")
        .await?;
    let own = app
        .value(&format!(
            "SELECT id FROM ecommerce_products WHERE seller_id = '{seller}' LIMIT 1"
        ))
        .await?;
    let category = app.value("SELECT id FROM ecommerce_categories LIMIT 1").await?;
    for round in 0..4 {
        let suspend = format!("{SELLERS}/{seller}/suspend");
        let body = json!({"sku": format!("NEW-{round}"), "name": "New", "price": "20", "categoryId": category, "status": "active"});
        let (one, admin, noah) = (format!("/api/v1/ecommerce/products/{own}"), admin.clone(), noah.clone());
        let calls = (0..3).map(move |call| {
            let (admin, noah, suspend, one, body) =
                (admin.clone(), noah.clone(), suspend.clone(), one.clone(), body.clone());
            async move {
                match call {
                    0 => admin.post(&suspend, &json!({})).await,
                    1 => noah.patch(&one, &json!({"status": "active"})).await,
                    _ => noah.post("/api/v1/ecommerce/products", &body).await,
                }
            }
        });
        for (call, reply) in app.race(calls).await?.into_iter().enumerate() {
            let honest = if call == 0 { vec![200] } else { vec![200, 201, 403] };
            assert!(honest.contains(&reply.status().as_u16()), "{call}: {}", reply.status());
        }
        let active =
            format!("SELECT count(*) FROM ecommerce_products WHERE seller_id = '{seller}' AND status = 'active'");
        assert_eq!(app.value(&active).await?, "0", "round {round}");
        let approve = format!("{SELLERS}/{seller}/approve");
        app.admin().await?.post(&approve, &json!({})).await?.data(200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commission_is_rounded_line_by_line() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let seller = "(SELECT id FROM ecommerce_sellers WHERE slug = 'hillside-makers')";
    app.sql(&format!(
        "UPDATE ecommerce_sellers SET commission_rate = 12 WHERE id = {seller};
         UPDATE order_items SET unit_price = 0.04, quantity = 1, line_total = 0.04 WHERE id IN (SELECT order_item_id FROM ecommerce_order_items WHERE seller_id = {seller})"
    ))
    .await?;
    let path = format!("{SELLERS}/{}/summary", app.value(&format!("SELECT {seller}")).await?);
    let earned = app.staff().await?.get(&path).await?.data(200);
    assert_ne!(earned["gross"], "0.00");
    // 12 % of 0.04 is nothing, however often.
    assert_eq!(
        (&earned["commission"], &earned["net"]),
        (&json!("0.00"), &earned["gross"])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_never_leads_elsewhere() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let admin = app.admin().await?;
    let body = json!({"name": "Apply", "email": "apply@example.org"});
    let made = admin.post(SELLERS, &body).await?.data(201);
    assert_eq!(made["slug"], "apply-2", "/sellers/apply is an action");
    admin
        .post(
            SELLERS,
            &json!({"name": "B", "email": "b@example.org", "slug": "apply"}),
        )
        .await?
        .error(409, "CONFLICT");
    let id = made["id"].as_str().unwrap_or_default();
    let named = json!({"name": id, "email": "c@example.org"});
    let named = admin.post(SELLERS, &named).await?.data(201);
    assert_eq!(named["slug"], format!("{id}-2"));
    Ok(())
}
