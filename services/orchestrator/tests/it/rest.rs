//! The REST gateway: what it answers, and what it refuses.

use anyhow::{Result, ensure};
use axum::http::{Method, StatusCode};
use orchestrator::api::rest::{ROUTES, docs::OPENAPI};
use serde_json::{Value, json};
use testkit::TestDatabase;

use crate::harness::{World, shop, stranger, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_answers_a_ready_session_with_all_its_fields() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let answer = replica.create().await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    let data = answer.body["data"].as_object().expect("an object");
    let names: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "id",
            "sessionToken",
            "selectedFeatures",
            "enabledFeatures",
            "ignoredFeatures",
            "modules",
            "tier",
            "templateSlug",
            "currency",
            "schemaStatus",
            "previewUrl",
            "createdAt",
            "readyAt",
            "lastAccessedAt",
            "expiresAt",
            "failure"
        ]
    );
    let document: Value = serde_json::from_str(OPENAPI)?;
    let described = document["components"]["schemas"]["Session"]["properties"].as_object();
    let described: Vec<_> = described.expect("properties").keys().map(String::as_str).collect();
    assert_eq!(names, described, "the document tells the truth");
    let token = answer.text("sessionToken");
    assert_eq!(answer.header("location"), format!("/api/preview/sessions/{token}"));
    assert_eq!(answer.text("previewUrl"), format!("http://app.test/?session={token}"));
    assert_eq!(
        data["selectedFeatures"],
        json!(["ecommerce.cart", "ecommerce.products"])
    );
    assert_eq!(data["ignoredFeatures"], json!(["auth.basic", "payments.oneTime"]));
    assert_eq!(data["modules"], json!(["ecommerce"]));
    assert_eq!(data["currency"], "USD");
    assert_eq!(data["failure"], Value::Null);
    let shown = replica.get(&format!("/sessions/{token}")).await?;
    assert_eq!((shown.status, &shown.body), (StatusCode::OK, &answer.body));
    let id = answer.text("id");
    assert_eq!(
        world.transitions(&id).await?,
        [">PENDING", "PENDING>PROVISIONING", "PROVISIONING>READY"]
    );
    assert_eq!(world.fake.state().schemas[&id], ["ecommerce"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_nowhere_in_the_database() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let client = world.database.connect().await?;
    for table in ["sessions", "session_transitions", "creations", "idempotency_keys"] {
        let sql = format!("SELECT count(*) FROM control.{table} AS t WHERE t::text LIKE '%' || $1 || '%'");
        assert_eq!(client.query_one(&sql, &[&token]).await?.get::<_, i64>(0), 0, "{table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_fields_are_all_named_at_once() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let long = "x".repeat(61);
    let many = vec!["lms"; 201];
    let table = [
        (json!({}), vec!["selectedFeatures", "tier"]),
        (
            json!({"selectedFeatures": many, "tier": "pro"}),
            vec!["selectedFeatures"],
        ),
        (
            json!({"selectedFeatures": "lms", "tier": "pro"}),
            vec!["selectedFeatures"],
        ),
        (
            json!({"selectedFeatures": ["lms", "No Slug", 3], "tier": 4}),
            vec!["selectedFeatures[1]", "selectedFeatures[2]", "tier"],
        ),
        (json!({"selectedFeatures": ["lms"], "tier": ""}), vec!["tier"]),
        (json!({"selectedFeatures": ["lms"], "tier": long}), vec!["tier"]),
        (
            json!({"selectedFeatures": ["lms"], "tier": "pro", "templateSlug": long, "currency": "usd",
                "provisionSchema": "yes", "admin": true, "schemaName": "public"}),
            vec!["templateSlug", "currency", "provisionSchema", "admin", "schemaName"],
        ),
    ];
    for (body, fields) in table {
        let answer = replica.call(Method::POST, "/sessions", Some(body.clone())).await?;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!((answer.code(), answer.fields()), ("VALIDATION_ERROR", fields), "{body}");
    }
    assert_eq!(world.count("READY").await? + world.count("PENDING").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optional_fields_may_be_null_and_are_kept() -> Result<()> {
    let mut world = World::with(&[("DEFAULT_CURRENCY", "CHF")]).await?;
    let replica = world.replica().await?;
    let mut body = shop();
    body["templateSlug"] = Value::Null;
    body["currency"] = Value::Null;
    body["provisionSchema"] = Value::Null;
    let answer = replica.call(Method::POST, "/sessions", Some(body.clone())).await?;
    assert_eq!(
        (answer.text("currency").as_str(), answer.data("templateSlug")),
        ("CHF", &Value::Null)
    );
    body["templateSlug"] = json!("  storefront ");
    body["currency"] = json!("EUR");
    let answer = replica.call(Method::POST, "/sessions", Some(body)).await?;
    assert_eq!(
        (answer.text("currency"), answer.text("templateSlug")),
        ("EUR".into(), "storefront".into())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_cannot_be_read_are_refused_in_the_contracts_order() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let json_type = [("content-type", "application/json; charset=utf-8")];
    let large = format!("{{\"tier\":\"{}\"}}", "x".repeat(256 * 1024));
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, StatusCode, &'a str);
    let table: [Case<'_>; 8] = [
        (
            &[("content-type", "text/plain")],
            &large,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (&[], "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        (&json_type, &large, StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        (&json_type, "{", StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        (&json_type, "[]", StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        (&json_type, "null", StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        (&json_type, "{} {}", StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        (&json_type, "", StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
    ];
    for (headers, body, status, code) in table {
        let shown = &body[..body.len().min(20)];
        let answer = replica.raw(Method::POST, "/sessions", headers, body.to_owned()).await?;
        assert_eq!((answer.status, answer.code()), (status, code), "{shown}");
        assert_eq!(answer.body["success"], false, "{shown}");
    }
    for (levels, status) in [(17, StatusCode::BAD_REQUEST), (16, StatusCode::UNPROCESSABLE_ENTITY)] {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let answer = replica.raw(Method::POST, "/sessions", &json_type, deep).await?;
        assert_eq!(answer.status, status, "{levels} levels");
    }
    let long = replica.get(&format!("/catalog?{}", "x".repeat(5_000))).await?;
    assert_eq!(
        (long.status, long.code()),
        (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_tokens_cost_no_query_and_a_database_that_is_away_is_503() -> Result<()> {
    let database = TestDatabase::private(&[]).await?;
    let mut world = World::on(database, &[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    world.database.cluster().expect("it is private").lock().await.stop();
    let long = "a".repeat(129);
    for route in ROUTES.iter().filter(|route| route.path.contains("{token}")) {
        let path = route.path.trim_start_matches("/api/preview");
        for wrong in [
            "short",
            "with%20space%20with%20space",
            "dotted.dotted.dotted.dotted",
            "%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF",
            &long,
        ] {
            let answer = replica
                .call(route.method.parse()?, &path.replace("{token}", wrong), None)
                .await?;
            assert_eq!(
                (answer.status, answer.code()),
                (StatusCode::BAD_REQUEST, "INVALID_TOKEN"),
                "{} {path} {wrong}",
                route.method
            );
        }
        let answer = replica
            .call(route.method.parse()?, &path.replace("{token}", &token), None)
            .await?;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            "{} {path}",
            route.method
        );
        assert!(answer.retry_after() >= 1);
    }
    let answer = replica.create().await?;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    );
    world.database.cluster().expect("it is private").lock().await.start()?;
    until("the pool reconnects", async || {
        Ok(replica.get(&format!("/sessions/{token}")).await?.status == StatusCode::OK)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_exists_and_other_methods_are_405_with_allow() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    for route in &ROUTES {
        let path = route
            .path
            .trim_start_matches("/api/preview")
            .replace("{token}", &stranger());
        let answer = replica.call(route.method.parse()?, &path, None).await?;
        assert!(
            !["NOT_FOUND", "METHOD_NOT_ALLOWED"].contains(&answer.code()),
            "{} {path}",
            route.method
        );
        let answer = replica.call(Method::PUT, &path, None).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED")
        );
        assert!(
            answer.header("allow").split(',').any(|method| method == route.method),
            "{answer:?}"
        );
    }
    for path in [
        "/nothing",
        "/sessions/",
        &format!("/sessions/{token}/"),
        "/../../etc/passwd",
    ] {
        let answer = replica.get(path).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "NOT_FOUND"),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_an_id_and_is_not_stored() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::PUT, "/catalog"),
        (Method::POST, "/sessions"),
        (Method::GET, "/sessions/short"),
    ] {
        let answer = replica
            .raw(method, path, &[("x-request-id", "from-the-caller")], "")
            .await?;
        assert_eq!(answer.header("x-request-id"), "from-the-caller");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let answer = replica
        .raw(Method::GET, "/nothing", &[("x-request-id", "no good one")], "")
        .await?;
    assert_ne!(answer.header("x-request-id"), "no good one");
    assert!(!answer.header("x-request-id").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_may_call_from_exactly_the_configured_origins() -> Result<()> {
    let mut world = World::with(&[("CORS_ORIGIN", "https://studio.test,https://app.test")]).await?;
    let replica = world.replica().await?;
    for (origin, allowed) in [
        ("https://studio.test", true),
        ("https://app.test", true),
        ("https://studio.test.evil.example", false),
        ("http://studio.test", false),
        ("null", false),
    ] {
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        for answer in [
            replica.raw(Method::OPTIONS, "/sessions", &preflight, "").await?,
            replica.raw(Method::GET, "/catalog", &[("origin", origin)], "").await?,
        ] {
            let expected = if allowed { origin } else { "" };
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_followed_kept_alive_and_ended_twice() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let status = replica.get(&format!("{path}/status")).await?;
    let names: Vec<_> = status.body["data"].as_object().expect("an object").keys().collect();
    assert_eq!(names, ["schemaStatus", "previewUrl", "expiresAt"]);

    world.advance(chrono::TimeDelta::minutes(3));
    for body in [None, Some(json!({}))] {
        let answer = replica.call(Method::PATCH, &path, body).await?;
        assert_eq!(
            (answer.status, answer.text("schemaStatus").as_str()),
            (StatusCode::OK, "READY")
        );
        assert_ne!(answer.data("lastAccessedAt"), answer.data("createdAt"));
    }

    for _ in 0..2 {
        let answer = replica.call(Method::DELETE, &path, None).await?;
        assert_eq!(
            (answer.status, &answer.body["data"]),
            (StatusCode::OK, &json!({"ended": true}))
        );
    }
    assert!(
        !world.fake.state().schemas.contains_key(&id),
        "its schema is gone with the answer"
    );
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/status")),
        (Method::PATCH, path.clone()),
        (Method::GET, format!("{path}/events")),
        (Method::POST, format!("{path}/extend")),
        (Method::POST, format!("{path}/restart")),
    ] {
        let answer = replica.call(method, &path, None).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::GONE, "SESSION_EXPIRED"),
            "{path}"
        );
    }
    assert_eq!(
        world.transitions(&id).await?.last().map(String::as_str),
        Some("READY>DROPPED")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_nobody_has_is_404_but_may_be_ended() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let path = format!("/sessions/{}", stranger());
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/status")),
        (Method::GET, format!("{path}/events")),
        (Method::PATCH, path.clone()),
        (Method::POST, format!("{path}/extend")),
        (Method::POST, format!("{path}/restart")),
    ] {
        let answer = replica.call(method, &path, None).await?;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "SESSION_NOT_FOUND"),
            "{path}"
        );
    }
    let answer = replica.call(Method::DELETE, &path, None).await?;
    assert_eq!(
        (answer.status, &answer.body["data"]),
        (StatusCode::OK, &json!({"ended": true}))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_lists_every_feature_and_is_not_sent_twice() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let answer = replica.get("/catalog").await?;
    let modules = answer.data("modules").as_array().expect("modules");
    assert_eq!(modules.len(), modules::MODULES.len());
    let features: usize = modules
        .iter()
        .filter_map(|module| module["features"].as_array())
        .map(Vec::len)
        .sum();
    assert_eq!(features, modules::features().count());
    assert_eq!(answer.data("features").as_array().map(Vec::len), Some(features));
    ensure!(answer.data("tiers").as_array().is_some_and(|tiers| !tiers.is_empty()));
    let etag = answer.header("etag").to_owned();
    for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
        let again = replica
            .raw(Method::GET, "/catalog", &[("if-none-match", &known)], "")
            .await?;
        assert_eq!(
            (again.status, again.header("etag")),
            (StatusCode::NOT_MODIFIED, etag.as_str()),
            "{known}"
        );
    }
    let other = replica
        .raw(Method::GET, "/catalog", &[("if-none-match", "\"other\"")], "")
        .await?;
    assert_eq!(other.status, StatusCode::OK);
    Ok(())
}
