//! What every route shares: methods, media types, sizes, syntax, headers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use http::Method;
use testkit::Reply;

use super::{
    book::{Book, Takes},
    report::{Report, short},
};
use crate::harness::App;

fn common_headers(what: &str, reply: &Reply, report: &mut Report) {
    let wanted = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Origin, X-Preview-Session, Authorization, Cookie"),
    ];
    for (name, value) in wanted {
        let sent = reply.header(name).to_owned();
        report.expect(sent == value, || format!("{what}: {name} is {sent:?}"));
    }
    report.expect(reply.header("x-request-id").len() > 8, || {
        format!("{what}: no X-Request-Id")
    });
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_told_apart() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for endpoint in book.endpoints() {
        paths
            .entry(pattern(&endpoint.path))
            .or_default()
            .insert(endpoint.method.to_string());
    }
    let mut report = Report::default();
    for (path, methods) in &paths {
        let mut allow = methods.clone();
        if allow.contains("GET") {
            allow.insert("HEAD".to_owned());
        }
        let allow = allow.into_iter().collect::<Vec<_>>().join(", ");
        let address = path.replace("{}", &uuid::Uuid::now_v7().to_string());
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            // A fixed path beside a parameter, /users/directory say, has the parameter's methods too.
            if methods.contains(method.as_str()) || path.contains("/content/{}") {
                continue;
            }
            let reply = admin.raw(method.clone(), &address, "", "").await?;
            let what = format!("{method} {path}");
            report.refusal(&what, &reply, 405, "METHOD_NOT_ALLOWED");
            report.expect(reply.header("allow") == allow, || {
                format!("{what}: Allow is {:?}, not {allow:?}", reply.header("allow"))
            });
            common_headers(&what, &reply, &mut report);
        }
        for odd in [
            format!("{address}/"),
            format!("{address}/x/y/z"),
            format!("{address}x-"),
        ] {
            let reply = admin.get(&odd).await?;
            report.expect(matches!(reply.status().as_u16(), 404 | 405), || {
                format!("{odd}: {}", short(&reply))
            });
        }
    }
    report.finish(400);
    Ok(())
}

fn pattern(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_in_order() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let deep = |levels: usize| format!("{{\"x\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(256 * 1024));
    let fits = format!("{{\"x\":\"{}\"}}", "x".repeat(256 * 1024 - 8));
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        let path = endpoint.nowhere();
        let method = endpoint.method.clone();
        let name = endpoint.name();
        match endpoint.takes {
            Takes::Nothing => continue,
            Takes::Form => {
                let reply = admin.raw(method, &path, "application/json", "{}").await?;
                report.refusal(&format!("{name} as JSON"), &reply, 415, "UNSUPPORTED_MEDIA_TYPE");
                continue;
            }
            Takes::Json(_) => {}
        }
        for (what, media, body, status, code) in [
            ("as text", "text/plain", "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
            ("without a type", "", "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
            (
                "as a form",
                "application/x-www-form-urlencoded",
                "a=b",
                415,
                "UNSUPPORTED_MEDIA_TYPE",
            ),
            (
                "too large and as text",
                "text/plain",
                large.as_str(),
                415,
                "UNSUPPORTED_MEDIA_TYPE",
            ),
            (
                "too large",
                "application/json",
                large.as_str(),
                413,
                "PAYLOAD_TOO_LARGE",
            ),
            (
                "just small enough",
                "application/json",
                fits.as_str(),
                422,
                "VALIDATION_ERROR",
            ),
            ("cut short", "application/json", "{\"x\":", 400, "BAD_REQUEST"),
            ("no JSON", "application/json", "nope", 400, "BAD_REQUEST"),
            ("an array", "application/json", "[]", 400, "BAD_REQUEST"),
            ("null", "application/json", "null", 400, "BAD_REQUEST"),
            ("two objects", "application/json", "{}{}", 400, "BAD_REQUEST"),
            (
                "no UTF-16",
                "application/json",
                "{\"x\":\"\\ud800\"}",
                400,
                "BAD_REQUEST",
            ),
            (
                "16 deep",
                "application/json; charset=utf-8",
                &deep(16),
                422,
                "VALIDATION_ERROR",
            ),
            ("17 deep", "application/json", &deep(17), 400, "BAD_REQUEST"),
            ("very deep", "application/json", &deep(50_000), 400, "BAD_REQUEST"),
        ] {
            let reply = admin.raw(method.clone(), &path, media, body.to_owned()).await?;
            report.refusal(&format!("{name}: {what}"), &reply, status, code);
        }
        let bytes: &'static [u8] = b"{\"x\":\"\xff\"}";
        let reply = admin.raw(method.clone(), &path, "application/json", bytes).await?;
        report.refusal(&format!("{name}: no UTF-8"), &reply, 400, "BAD_REQUEST");
        if !endpoint.is_for(&["public", "cart"]) {
            // Who may not call at all is told that first.
            let reply = app.visitor().raw(method, &path, "text/plain", large.clone()).await?;
            report.refusal(&format!("{name}: too large by nobody"), &reply, 401, "UNAUTHORIZED");
            common_headers(&name, &reply, &mut report);
        }
    }
    report.finish(700);
    Ok(())
}

#[tokio::test]
async fn every_call_names_its_session() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let bare = app.bare();
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        let (path, name) = (endpoint.nowhere(), endpoint.name());
        let method = || endpoint.method.clone();
        let reply = bare.raw(method(), &path, "", "").await?;
        if endpoint.returns.binary.is_some() {
            // Its key names the session.
            report.refusal(&name, &reply, 404, "NOT_FOUND");
            continue;
        }
        report.refusal(&name, &reply, 401, "SESSION_REQUIRED");
        common_headers(&name, &reply, &mut report);
        let reply = bare.session(&"a".repeat(32)).raw(method(), &path, "", "").await?;
        report.refusal(&name, &reply, 404, "SESSION_NOT_FOUND");
    }
    let path = "/api/v1/faqs";
    for bad in [
        "",
        "short",
        "a_b_c_d_e_f_g_h_i_j_k_l_m_n",
        "a b c d e f g h i j k l m n o",
    ] {
        report.refusal(bad, &bare.session(bad).get(path).await?, 401, "SESSION_REQUIRED");
    }
    let long = bare.session(&"a".repeat(129)).get(path).await?;
    report.refusal("129 characters", &long, 401, "SESSION_REQUIRED");
    let shouted = app.token.reveal().to_uppercase();
    let reply = bare.session(&shouted).get(path).await?;
    report.refusal("capitals", &reply, 404, "SESSION_NOT_FOUND");
    report.finish(500);
    Ok(())
}

#[tokio::test]
async fn pages_of_configured_origins_may_call_and_others_may_not() -> Result<()> {
    let app = App::builder()
        .set("CORS_ORIGIN", "https://studio.example")
        .start(&[])
        .await?;
    let ask = |origin: &'static str| {
        app.bare()
            .with("origin", origin)
            .with("access-control-request-method", "PATCH")
            .with("access-control-request-headers", "content-type,x-preview-session")
    };
    // A browser asks without the session's header.
    let granted = ask("https://studio.example")
        .raw(Method::OPTIONS, "/api/v1/faqs", "", "")
        .await?;
    assert!(granted.status().is_success(), "{granted}");
    assert_eq!(granted.header("access-control-allow-origin"), "https://studio.example");
    assert_eq!(granted.header("access-control-allow-credentials"), "true");
    let headers = granted.header("access-control-allow-headers").to_lowercase();
    for name in [
        "content-type",
        "authorization",
        "x-preview-session",
        "x-cart-token",
        "idempotency-key",
    ] {
        assert!(headers.contains(name), "{name} in {headers}");
    }
    let methods = granted.header("access-control-allow-methods");
    assert!(
        ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .all(|method| methods.contains(method))
    );
    let refused = ask("https://other.example")
        .raw(Method::OPTIONS, "/api/v1/faqs", "", "")
        .await?;
    assert_eq!(refused.header("access-control-allow-origin"), "");

    let here = app.visitor().with("origin", "https://studio.example");
    let answer = here.get("/api/v1/faqs").await?;
    assert_eq!(answer.header("access-control-allow-origin"), "https://studio.example");
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    for name in ["x-request-id", "retry-after", "location", "idempotency-replayed"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    // Refusals can be read by the page too.
    let missing = here.get("/api/v1/faqs/nope").await?;
    missing.error(404, "NOT_FOUND");
    assert_eq!(missing.header("access-control-allow-origin"), "https://studio.example");
    Ok(())
}
