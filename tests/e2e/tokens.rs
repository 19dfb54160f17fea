//! The same story with a token that is missing, malformed, unknown, expired, or of a session
//! that is still being prepared.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use e2e::{FEATURES, Shopper, eventually};
use http::Method;
use serde_json::{Value, json};
use testkit::{Api, Stack};

/// Each request of the story, with a body that would be right.
fn story() -> Vec<(Method, &'static str, Value)> {
    let register = json!({ "email": "vera@example.com", "password": "Sunflower1", "name": "Vera" });
    let item = json!({ "productId": "01890000-0000-7000-8000-000000000000" });
    vec![
        (Method::GET, "/api/v1/config", Value::Null),
        (Method::POST, "/api/v1/auth/register", register),
        (Method::GET, "/api/v1/auth/me", Value::Null),
        (Method::GET, "/api/v1/ecommerce/products", Value::Null),
        (Method::GET, "/api/v1/ecommerce/products/oak-desk-lamp", Value::Null),
        (Method::POST, "/api/v1/ecommerce/cart/items", item),
        (Method::POST, "/api/v1/ecommerce/cart/checkout", json!({})),
        (Method::GET, "/api/v1/sandbox/emails", Value::Null),
        (Method::GET, "/api/v1/lms/courses", Value::Null),
        (Method::GET, "/api/v1/nothing/here", Value::Null),
    ]
}

async fn refuses(api: &Api, status: u16, code: &str) -> Result<()> {
    for (method, path, body) in story() {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        api.raw(method, path, "application/json", body)
            .await?
            .error(status, code);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_asks_for_a_token_of_a_living_session() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let tenant = stack.tenant(0);
    refuses(&tenant, 401, "SESSION_REQUIRED").await?;
    let long = "a".repeat(129);
    for malformed in [
        "short",
        "with_underscores_and_more",
        "with spaces in it, twenty",
        long.as_str(),
    ] {
        refuses(&tenant.session(malformed), 401, "SESSION_REQUIRED").await?;
    }
    refuses(
        &tenant.session("0123456789abcdefghijklmnopqrstuv"),
        404,
        "SESSION_NOT_FOUND",
    )
    .await?;

    let session = stack.session(&FEATURES).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default().to_owned();
    refuses(&tenant.session(&token.to_uppercase()), 404, "SESSION_NOT_FOUND").await?;
    let host = tenant.base().trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || twice(&host, &token)).await??;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.contains("SESSION_REQUIRED"),
        "{answer}"
    );

    tenant.get("/health").await?.data(200);
    Ok(())
}

/// A request that names its session twice.
fn twice(host: &str, token: &str) -> Result<String> {
    let mut stream = TcpStream::connect(host)?;
    let header = format!("X-Preview-Session: {token}\r\n");
    write!(
        stream,
        "GET /api/v1/config HTTP/1.1\r\nHost: {host}\r\n{header}{header}Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_gone_for_the_visitor_and_from_the_database() -> Result<()> {
    // 4.3 seconds; looked for every second.
    let stack = Stack::builder()
        .tenants(2)
        .env("PREVIEW_TTL_HOURS", "0.0012")
        .env("RECONCILE_INTERVAL_SECONDS", 1)
        .start()
        .await?;
    stack.wait_for_pool(1).await?;
    let session = stack.session(&FEATURES).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default();
    let replicas = [stack.tenant(0).session(token), stack.tenant(1).session(token)];
    for replica in &replicas {
        replica.get("/api/v1/config").await?.data(200);
    }
    let shopper = Shopper::register(&replicas[0], "vera@example.com").await?;

    for replica in &replicas {
        eventually("the session is over", Duration::from_secs(20), async || {
            Ok(replica.get("/api/v1/config").await?.status() == 410)
        })
        .await?;
        refuses(replica, 410, "SESSION_EXPIRED").await?;
    }
    shopper.api.get("/api/v1/auth/me").await?.error(410, "SESSION_EXPIRED");
    let gateway = stack.gateway();
    let path = format!("/api/preview/sessions/{token}");
    gateway.get(&path).await?.error(410, "SESSION_EXPIRED");
    gateway
        .get(&format!("{path}/status"))
        .await?
        .error(410, "SESSION_EXPIRED");
    gateway.patch(&path, &json!({})).await?.error(410, "SESSION_EXPIRED");

    let client = stack.database().connect().await?;
    eventually("its schema is gone", Duration::from_secs(20), async || {
        let query = r"SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'preview\_%'";
        Ok(client.query_one(query, &[]).await?.get::<_, i64>(0) == 0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_still_prepared_asks_to_wait() -> Result<()> {
    let stack = Stack::builder().env("POOL_TARGET", 0).start().await?;
    let wanted = json!({ "selectedFeatures": FEATURES, "tier": "starter", "provisionSchema": false });
    let session = stack.gateway().post("/api/preview/sessions", &wanted).await?.data(201);
    assert_eq!(
        (&session["schemaStatus"], &session["previewUrl"]),
        (&json!("PENDING"), &Value::Null)
    );
    let token = session["sessionToken"].as_str().unwrap_or_default();
    refuses(&stack.tenant(0).session(token), 503, "SESSION_NOT_READY").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_tells_malformed_from_unknown_tokens() -> Result<()> {
    let stack = Stack::builder().env("POOL_TARGET", 0).start().await?;
    let gateway = stack.gateway();
    for malformed in ["short", "with_underscores_and_more", "..%2F..%2Fadmin%2Fsessions"] {
        let path = format!("/api/preview/sessions/{malformed}");
        gateway.get(&path).await?.error(400, "INVALID_TOKEN");
        gateway
            .get(&format!("{path}/status"))
            .await?
            .error(400, "INVALID_TOKEN");
        gateway.patch(&path, &json!({})).await?.error(400, "INVALID_TOKEN");
        gateway.delete(&path).await?.error(400, "INVALID_TOKEN");
    }
    let unknown = "/api/preview/sessions/0123456789abcdefghijklmnopqrstuv";
    gateway.get(unknown).await?.error(404, "SESSION_NOT_FOUND");
    gateway
        .get(&format!("{unknown}/status"))
        .await?
        .error(404, "SESSION_NOT_FOUND");
    gateway
        .patch(unknown, &json!({}))
        .await?
        .error(404, "SESSION_NOT_FOUND");
    assert_eq!(gateway.delete(unknown).await?.data(200), json!({ "ended": true }));
    gateway.get("/api/preview/nothing").await?.error(404, "NOT_FOUND");
    Ok(())
}
