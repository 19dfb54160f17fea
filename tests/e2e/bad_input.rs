//! What a client may send wrong, and that nothing comes of it.

use anyhow::Result;
use e2e::{FEATURES, Shopper};
use http::Method;
use serde_json::{Value, json};
use testkit::{Api, Stack};

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn the_data_plane_names_what_is_wrong_and_writes_nothing() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let api = stack.visitor(&FEATURES).await?;
    let admin = Shopper::demo(&api, "admin@preview.local").await?.api;
    let category = api.get("/api/v1/ecommerce/categories/home-and-desk").await?.data(200)["id"].clone();
    let products = "/api/v1/ecommerce/products";
    let good =
        json!({ "sku": "NEW-100", "name": "Brass hook", "categoryId": category, "price": "9.90", "status": "active" });
    let total = async || anyhow::Ok(admin.get(products).await?.list().1.total);
    let before = total().await?;

    unreadable_bodies(&admin, products, &good).await?;
    wrong_fields(&admin, products, &good).await?;
    unreadable_paths(&admin, products).await?;
    assert_eq!(total().await?, before, "nothing was written");

    let made = admin.post(products, &good).await?;
    assert_eq!(
        made.header("location"),
        format!("{products}/{}", made.data(201)["id"].as_str().unwrap_or_default())
    );
    assert_eq!(total().await?, before + 1);
    let taken = admin.post(products, &good).await?.error(409, "CONFLICT");
    assert_eq!(taken["details"][0]["field"], "sku");
    Ok(())
}

async fn unreadable_bodies(admin: &Api, products: &str, good: &Value) -> Result<()> {
    let post = async |kind: &'static str, body: String| admin.raw(Method::POST, products, kind, body).await;
    for malformed in [
        "{",
        "{\"sku\":}",
        "not json",
        "[]",
        "\"text\"",
        "7",
        "null",
        "{\"sku\":\"A\u{0}B\"}",
    ] {
        post(JSON, malformed.to_owned()).await?.error(400, "BAD_REQUEST");
    }
    post("text/plain", good.to_string())
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    post("application/x-www-form-urlencoded", "sku=A".to_owned())
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    let mut large = good.clone();
    large["description"] = json!("x".repeat(300 * 1024));
    post(JSON, large.to_string()).await?.error(413, "PAYLOAD_TOO_LARGE");
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    post(JSON, deep).await?.error(400, "BAD_REQUEST");
    Ok(())
}

async fn wrong_fields(admin: &Api, products: &str, good: &Value) -> Result<()> {
    let cases = [
        ("colour", json!("red")),
        ("id", json!("01890000-0000-7000-8000-000000000000")),
        ("soldCount", json!(5)),
        ("name", json!(7)),
        ("name", json!("")),
        ("name", json!("x".repeat(161))),
        ("name", json!("bell \u{7}")),
        ("price", json!(9.9)),
        ("price", json!("9.999")),
        ("price", json!("-1.00")),
        ("price", json!("1e3")),
        ("stock", json!("five")),
        ("stock", json!(1.5)),
        ("stock", json!(i64::MAX)),
        ("status", json!("sold")),
        ("sku", json!("no spaces here")),
        ("isFeatured", json!("yes")),
        ("categoryId", json!("nowhere")),
        ("categoryId", json!("01890000-0000-7000-8000-000000000000")),
        ("name", Value::Null),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value.clone();
        let reply = admin.post(products, &body).await?;
        assert_eq!(reply.invalid_fields(), [field], "{field} = {value}");
    }
    let several = admin.post(products, &json!({ "price": 1, "colour": "red" })).await?;
    assert_eq!(
        several.invalid_fields(),
        ["categoryId", "colour", "name", "price", "sku"],
        "all at once"
    );
    Ok(())
}

async fn unreadable_paths(admin: &Api, products: &str) -> Result<()> {
    admin
        .get(&format!("{products}/not-an-id"))
        .await?
        .error(404, "NOT_FOUND");
    admin.get(&format!("{products}/%FF%FE")).await?.error(404, "NOT_FOUND");
    admin.get(&format!("{products}?q=%FF")).await?.error(400, "BAD_REQUEST");
    for query in [
        "page=0",
        "page=x",
        "limit=0",
        "sort=price;drop",
        "status=sold",
        "priceFrom=cheap",
        "categoryId=x",
    ] {
        let fields = admin.get(&format!("{products}?{query}")).await?.invalid_fields();
        assert_eq!(fields.len(), 1, "{query}: {fields:?}");
    }
    let injected = "%27%3B%20DROP%20TABLE%20users%3B--";
    assert_eq!(admin.get(&format!("{products}?q={injected}")).await?.list().1.total, 0);
    let wrong = admin.put(products, &json!({})).await?;
    wrong.error(405, "METHOD_NOT_ALLOWED");
    assert!(wrong.header("allow").contains("POST"), "{:?}", wrong.answer.headers);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_names_what_is_wrong_and_makes_no_session() -> Result<()> {
    let stack = Stack::builder().env("POOL_TARGET", 0).start().await?;
    let gateway = stack.gateway();
    let path = "/api/preview/sessions";
    let post = async |body: String| gateway.raw(Method::POST, path, JSON, body).await;
    for malformed in ["{", "nonsense", "[]", "null"] {
        post(malformed.to_owned()).await?.error(400, "BAD_REQUEST");
    }
    let nothing = post(String::new()).await?;
    assert_eq!(
        nothing.invalid_fields(),
        ["selectedFeatures", "tier"],
        "no body counts as {{}}"
    );
    gateway
        .raw(Method::POST, path, "text/plain", "{}")
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    let large = json!({ "selectedFeatures": ["lms"], "tier": "x".repeat(300 * 1024) });
    post(large.to_string()).await?.error(413, "PAYLOAD_TOO_LARGE");

    let good = json!({ "selectedFeatures": ["lms"], "tier": "starter" });
    let cases = [
        ("tier", json!(7)),
        ("tier", json!("")),
        ("tier", Value::Null),
        ("selectedFeatures", json!("lms")),
        ("currency", json!("dollars")),
        ("currency", json!("usd")),
        ("provisionSchema", json!("no")),
        ("colour", json!("red")),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value.clone();
        let fields = gateway.post(path, &body).await?.invalid_fields();
        assert!(
            fields.len() == 1 && fields[0].starts_with(field),
            "{field} = {value}: {fields:?}"
        );
    }
    for slug in ["Not A Slug", "", "lms..courses", "lms.", "'; DROP TABLE", "lms/../core"] {
        let body = json!({ "selectedFeatures": ["lms", slug], "tier": "starter" });
        let fields = gateway.post(path, &body).await?.invalid_fields();
        assert!(
            fields.len() == 1 && fields[0].starts_with("selectedFeatures"),
            "{slug}: {fields:?}"
        );
    }
    let client = stack.database().connect().await?;
    let query = "SELECT count(*) FROM control.sessions";
    assert_eq!(
        client.query_one(query, &[]).await?.get::<_, i64>(0),
        0,
        "no session was made"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_feature_is_kept_told_and_opens_nothing() -> Result<()> {
    let stack = Stack::builder().env("POOL_TARGET", 0).start().await?;
    let session = stack
        .session(&["warp.drive", "ecommerce.products", "warp.drive"])
        .await?;
    assert_eq!(session["ignoredFeatures"], json!(["warp.drive"]));
    assert_eq!(session["selectedFeatures"], json!(["ecommerce.products"]));
    let api = stack
        .tenant(0)
        .session(session["sessionToken"].as_str().unwrap_or_default());
    assert_eq!(
        api.get("/api/v1/config").await?.data(200)["ignoredFeatures"],
        json!(["warp.drive"])
    );
    api.get("/api/v1/warp/drive").await?.error(404, "NOT_FOUND");
    Ok(())
}
