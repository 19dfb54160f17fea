//! The visitor's story: choose features, launch, shop, leave.

use anyhow::Result;
use e2e::{FEATURES, Shopper};
use serde_json::{Value, json};
use testkit::{Api, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_launches_shops_and_leaves() -> Result<()> {
    let stack = Stack::builder().tenants(2).start().await?;
    stack.wait_for_pool(1).await?;

    let session = launch(&stack).await?;
    let token = text(&session["sessionToken"]);
    let api = stack.tenant(0).session(&token);
    shows_what_was_chosen(&api, &session).await?;
    let shopper = Shopper::register(&api, "vera@example.com").await?;
    assert_eq!(shopper.account["role"], "USER");
    assert_eq!(
        shopper.api.get("/api/v1/auth/me").await?.data(200)["email"],
        "vera@example.com"
    );
    browses(&api).await?;
    shops(&shopper).await?;
    features_not_chosen_are_closed(&api).await?;

    let second = text(&stack.session(&FEATURES).await?["sessionToken"]);
    let neighbour = stack.tenant(1).session(&second);
    sees_nothing_of(&shopper, &neighbour).await?;
    let crossed = shopper.api.session(&second);
    for path in ["/api/v1/auth/me", "/api/v1/ecommerce/products"] {
        crossed.get(path).await?.error(401, "UNAUTHORIZED");
    }

    // Both replicas know the session before it ends.
    let replicas = [api, stack.tenant(1).session(&token)];
    for replica in &replicas {
        let _ = replica.get("/api/v1/ecommerce/products").await?.list();
    }
    let path = format!("/api/preview/sessions/{token}");
    assert_eq!(stack.gateway().delete(&path).await?.data(200), json!({ "ended": true }));
    for replica in &replicas {
        replica
            .get("/api/v1/ecommerce/products")
            .await?
            .error(410, "SESSION_EXPIRED");
    }
    stack.gateway().get(&path).await?.error(410, "SESSION_EXPIRED");
    assert_eq!(stack.gateway().delete(&path).await?.data(200), json!({ "ended": true }));
    no_schema_of(&stack, &text(&session["id"])).await?;

    assert_eq!(neighbour.get("/api/v1/ecommerce/products").await?.list().1.total, 11);
    Ok(())
}

/// Launch answers READY at once, since the pool holds a slot.
async fn launch(stack: &Stack) -> Result<Value> {
    let wanted = json!({ "selectedFeatures": FEATURES, "tier": "starter", "templateSlug": "shop" });
    let reply = stack.gateway().post("/api/preview/sessions", &wanted).await?;
    let session = reply.data(201);
    assert_eq!(session["schemaStatus"], "READY", "{session}");
    assert_eq!(
        session["selectedFeatures"],
        json!(["ecommerce.cart", "ecommerce.products"])
    );
    assert_eq!(session["ignoredFeatures"], json!(["auth.basic", "payments.oneTime"]));
    assert_eq!(
        (&session["tier"], &session["templateSlug"]),
        (&json!("starter"), &json!("shop"))
    );
    assert_eq!(
        (&session["currency"], &session["failure"]),
        (&json!("USD"), &Value::Null)
    );
    let modules = session["modules"].as_array().expect("modules");
    assert!(
        modules.contains(&json!("ecommerce")) && !modules.contains(&json!("lms")),
        "{session}"
    );

    let token = text(&session["sessionToken"]);
    assert!(
        token.len() >= 26 && token.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
        "{session}"
    );
    assert!(text(&session["previewUrl"]).contains(&token), "{session}");
    assert!(reply.header("location").ends_with(&token), "{:?}", reply.answer.headers);

    let path = format!("/api/preview/sessions/{token}");
    let status = stack.gateway().get(&format!("{path}/status")).await?.data(200);
    let keys: Vec<_> = status.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["schemaStatus", "previewUrl", "expiresAt"]);
    let heartbeat = stack.gateway().patch(&path, &json!({})).await?.data(200);
    assert_eq!(heartbeat["schemaStatus"], "READY");
    Ok(session)
}

async fn shows_what_was_chosen(api: &Api, session: &Value) -> Result<()> {
    let config = api.get("/api/v1/config").await?.data(200);
    assert_eq!(config["sessionId"], session["id"]);
    assert_eq!(config["features"], session["enabledFeatures"]);
    assert_eq!(config["ignoredFeatures"], session["ignoredFeatures"]);
    let modules = config["modules"].as_array().expect("modules");
    let labels: Vec<_> = modules
        .iter()
        .flat_map(|module| module["items"].as_array().expect("items"))
        .map(|item| text(&item["label"]))
        .collect();
    for (label, shown) in [
        ("Products", true),
        ("Cart", true),
        ("Courses", false),
        ("Reviews", false),
    ] {
        assert_eq!(labels.iter().any(|seen| seen == label), shown, "{label} in {labels:?}");
    }
    Ok(())
}

async fn browses(api: &Api) -> Result<()> {
    let products = "/api/v1/ecommerce/products";
    let (rows, page) = api.get(products).await?.list();
    assert_eq!(
        (rows.len(), page.total, page.total_pages),
        (11, 11, 1),
        "the draft is not shown"
    );

    let (first, page) = api.get(&format!("{products}?sort=price&limit=4")).await?.list();
    let (last, _) = api.get(&format!("{products}?sort=price&limit=4&page=3")).await?.list();
    assert_eq!((first.len(), last.len(), page.total_pages), (4, 3, 3));
    let cents = |row: &Value| text(&row["price"]).replace('.', "").parse::<u64>().expect("a price");
    assert!(
        first.is_sorted_by_key(cents) && cents(&first[3]) <= cents(&last[0]),
        "{first:?}"
    );
    let (beyond, page) = api.get(&format!("{products}?page=99")).await?.list();
    assert_eq!((beyond.len(), page.page, page.total), (0, 99, 11));

    let (found, _) = api.get(&format!("{products}?q=desk%20LAMP")).await?.list();
    assert!(found.iter().any(|row| row["slug"] == "oak-desk-lamp"), "{found:?}");
    assert_eq!(
        api.get(&format!("{products}?q=%25")).await?.list().1.total,
        0,
        "% is a plain character"
    );

    let (stocked, _) = api.get(&format!("{products}?inStock=true&limit=100")).await?.list();
    assert!(
        stocked
            .iter()
            .all(|row| row["inStock"] == true && row["sku"] != "BAG-003"),
        "{stocked:?}"
    );
    let (cheap, _) = api.get(&format!("{products}?priceTo=20.00&limit=100")).await?.list();
    assert!(
        !cheap.is_empty() && cheap.iter().all(|row| cents(row) <= 2_000),
        "{cheap:?}"
    );
    let (category, _) = api
        .get(&format!("{products}?category=home-and-desk&limit=100"))
        .await?
        .list();
    assert!(!category.is_empty() && category.len() < 11, "{category:?}");
    assert_eq!(api.get("/api/v1/ecommerce/categories").await?.list().1.total, 4);

    let lamp = api.get(&format!("{products}/oak-desk-lamp")).await?.data(200);
    assert_eq!(
        (&lamp["sku"], &lamp["price"], &lamp["currency"]),
        (&json!("LAMP-001"), &json!("49.00"), &json!("USD"))
    );
    assert_eq!(lamp["stock"], 25);
    assert_eq!(lamp["images"].as_array().map(Vec::len), Some(1));
    let same = api.get(&format!("{products}/{}", text(&lamp["id"]))).await?.data(200);
    assert_eq!(same, lamp);
    api.get(&format!("{products}/autumn-preview-set"))
        .await?
        .error(404, "NOT_FOUND");

    assert_eq!(
        api.get(&format!("{products}?limit=101&sort=nonsense"))
            .await?
            .invalid_fields(),
        ["limit", "sort"]
    );
    Ok(())
}

/// Cart, a card that declines, one that does not, the same checkout once more, and the mail.
async fn shops(shopper: &Shopper) -> Result<()> {
    let cart = shopper.add("oak-desk-lamp", 2).await?;
    let totals = |cart: &Value| ["subtotal", "shipping", "tax", "total"].map(|name| text(&cart[name]));
    assert_eq!(
        totals(&cart),
        ["98.00", "0.00", "7.84", "105.84"],
        "free shipping from 75.00, 8 % tax"
    );
    let line = format!("/api/v1/ecommerce/cart/items/{}", text(&cart["items"][0]["id"]));
    let cart = shopper.api.patch(&line, &json!({ "quantity": 1 })).await?.data(200);
    assert_eq!(totals(&cart), ["49.00", "5.90", "3.92", "58.82"]);
    let too_many = shopper.api.patch(&line, &json!({ "quantity": 26 })).await?;
    too_many.error(409, "OUT_OF_STOCK");

    let declined = shopper
        .check_out("4000000000000002")
        .await?
        .error(402, "PAYMENT_DECLINED");
    assert_eq!(
        declined["details"],
        json!([{ "field": "card", "message": "card_declined" }])
    );
    assert_eq!(shopper.cart().await?, cart, "a decline leaves the cart");
    assert_eq!(shopper.product("oak-desk-lamp").await?["stock"], 25, "and the stock");

    let once = shopper.api.with("idempotency-key", "checkout-1");
    let body = json!({ "address": e2e::address(), "expectedTotal": "58.82" });
    let path = "/api/v1/ecommerce/cart/checkout";
    let stale = json!({ "address": e2e::address(), "expectedTotal": "1.00" });
    once.post(path, &stale).await?.error(409, "TOTAL_CHANGED");
    let order = once.post(path, &body).await?.data(201);
    assert_eq!(
        (&order["total"], &order["status"]),
        (&json!("58.82"), &json!("paid")),
        "{order}"
    );
    let again = once.post(path, &body).await?;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.data(201)["id"], order["id"]);
    once.post(path, &stale).await?.error(409, "IDEMPOTENCY_CONFLICT");

    assert_eq!(shopper.cart().await?["itemCount"], 0);
    shopper.check_out("4242424242424242").await?.error(409, "CART_EMPTY");
    assert_eq!(shopper.product("oak-desk-lamp").await?["stock"], 24);
    let mail = shopper.mail("ecommerce.order-confirmed").await?;
    assert_eq!(mail.len(), 1, "{mail:?}");
    assert!(text(&mail[0]["text"]).contains(&text(&order["number"])), "{mail:?}");
    assert_eq!(shopper.mail("core.welcome").await?.len(), 1);
    Ok(())
}

async fn features_not_chosen_are_closed(api: &Api) -> Result<()> {
    for path in [
        "/api/v1/lms/courses",
        "/api/v1/ecommerce/orders",
        "/api/v1/ecommerce/reviews/summary",
    ] {
        api.get(path).await?.error(404, "FEATURE_NOT_AVAILABLE");
    }
    api.get("/api/v1/lms/coursesX").await?.error(404, "NOT_FOUND");
    Ok(())
}

async fn sees_nothing_of(shopper: &Shopper, neighbour: &Api) -> Result<()> {
    let lamp = neighbour
        .get("/api/v1/ecommerce/products/oak-desk-lamp")
        .await?
        .data(200);
    assert_eq!(lamp["stock"], 25);
    let theirs = text(&shopper.product("oak-desk-lamp").await?["id"]);
    assert_ne!(lamp["id"], theirs);
    neighbour
        .get(&format!("/api/v1/ecommerce/products/{theirs}"))
        .await?
        .error(404, "NOT_FOUND");
    let body = json!({ "productId": theirs });
    let fields = neighbour
        .post("/api/v1/ecommerce/cart/items", &body)
        .await?
        .invalid_fields();
    assert_eq!(fields, ["productId"]);
    let mail = format!("/api/v1/sandbox/emails?toEmail={}", shopper.email);
    assert_eq!(neighbour.get(&mail).await?.list().1.total, 0);
    let login = json!({ "email": shopper.email, "password": "Sunflower1" });
    neighbour
        .post("/api/v1/auth/login", &login)
        .await?
        .error(401, "INVALID_CREDENTIALS");

    // The same address registers anew; neither cart nor idempotency key of the other is known.
    let own = Shopper::register(neighbour, &shopper.email).await?;
    assert_eq!(own.cart().await?["itemCount"], 0);
    let replay = own.api.with("idempotency-key", "checkout-1");
    let body = json!({ "address": e2e::address(), "expectedTotal": "58.82" });
    replay
        .post("/api/v1/ecommerce/cart/checkout", &body)
        .await?
        .error(409, "CART_EMPTY");
    Ok(())
}

async fn no_schema_of(stack: &Stack, id: &str) -> Result<()> {
    let client = stack.database().connect().await?;
    let name = format!("preview_{}", id.replace('-', ""));
    let query = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    // It was gone before the answer.
    assert_eq!(client.query_one(query, &[&name]).await?.get::<_, i64>(0), 0);
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
