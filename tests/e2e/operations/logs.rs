//! Logs: one JSON object a line, or lines for people; with the session's id, and never what opens anything.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use devstack::stack::Service;
use e2e::{FEATURES, Shopper, eventually};
use http::Method;
use serde_json::{Value, json};
use testkit::Stack;

const UNKNOWN: &str = "0123456789abcdefghijklmnopqrstuv";

/// The services, and what each of them told.
type Logs = Vec<(Service, String)>;

/// A session's life with all that goes wrong. Returns its id, and the logs, in which no secret is.
async fn logs(format: &str) -> Result<(String, Logs)> {
    let mut stack = Stack::builder()
        .env("LOG_FORMAT", format)
        .env("LOG_LEVEL", "debug")
        .start()
        .await?;
    stack.wait_for_pool(1).await?;
    let session = stack.session(&FEATURES).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default().to_owned();
    let id = session["id"].as_str().unwrap_or_default().to_owned();
    let api = stack.tenant(0).session(&token);
    let mut secrets: BTreeSet<String> = [UNKNOWN, "Sunflower1", "4242424242424242"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    secrets.insert(token.clone());

    // What works.
    let shopper = Shopper::register(&api, "vera@example.com").await?;
    let body = json!({ "email": "vera@example.com", "password": "Sunflower1" });
    let signed_in = api.post("/api/v1/auth/login", &body).await?.data(200);
    for name in ["accessToken", "refreshToken"] {
        secrets.extend(signed_in[name].as_str().map(str::to_owned));
    }
    shopper.add("oak-desk-lamp", 1).await?;
    shopper.check_out("4242424242424242").await?.data(201);

    // What does not: wrong tokens, bodies, addresses, and a database that goes away in the middle.
    stack
        .tenant(0)
        .session(UNKNOWN)
        .get("/api/v1/config")
        .await?
        .error(404, "SESSION_NOT_FOUND");
    let crooked = format!("{token}_x");
    stack
        .tenant(0)
        .session(&crooked)
        .get("/api/v1/config")
        .await?
        .error(401, "SESSION_REQUIRED");
    api.bearer(&crooked)
        .get("/api/v1/auth/me")
        .await?
        .error(401, "UNAUTHORIZED");
    api.get(&format!("/api/v1/{token}")).await?.error(404, "NOT_FOUND");
    let broken = format!("{{\"email\": \"{token}\", ");
    api.raw(Method::POST, "/api/v1/auth/login", "application/json", broken)
        .await?
        .error(400, "BAD_REQUEST");
    let gateway = stack.gateway();
    let path = format!("/api/preview/sessions/{token}");
    gateway.get(&path).await?.data(200);
    gateway
        .get(&format!("/api/preview/sessions/{UNKNOWN}"))
        .await?
        .error(404, "SESSION_NOT_FOUND");
    gateway
        .get(&format!("/api/preview/sessions/{crooked}"))
        .await?
        .error(400, "INVALID_TOKEN");
    gateway.get(&format!("{path}/nothing")).await?.error(404, "NOT_FOUND");
    let admin = stack.database().connect().await?;
    let schema = format!("preview_{}", id.replace('-', ""));
    admin
        .batch_execute(&format!(
            "ALTER TABLE {schema}.ecommerce_products RENAME TO elsewhere; ALTER TABLE control.sessions RENAME TO elsewhere"
        ))
        .await?;
    api.get("/api/v1/ecommerce/products").await?;
    assert_eq!(gateway.get(&path).await?.status(), 500);
    admin
        .batch_execute(&format!(
            "ALTER TABLE {schema}.elsewhere RENAME TO ecommerce_products; ALTER TABLE control.elsewhere RENAME TO sessions;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ))
        .await?;
    eventually("it works again", Duration::from_secs(20), async || {
        Ok(gateway.get(&path).await?.status() == 200 && api.get("/api/v1/ecommerce/products").await?.status() == 200)
    })
    .await?;
    gateway.delete(&path).await?.data(200);
    api.get("/api/v1/config").await?.error(410, "SESSION_EXPIRED");

    for name in [
        "INTERNAL_API_SECRET",
        "JWT_SECRET",
        "ORCHESTRATOR_DB_PASSWORD",
        "PROVISIONER_DB_PASSWORD",
        "TENANT_DB_PASSWORD",
    ] {
        secrets.insert(stack.database().secrets().get(name).to_owned());
    }
    let mut logs = Logs::new();
    for service in [Service::Provisioner, Service::Orchestrator, Service::TenantApi(0)] {
        let log = stack.processes().process(service)?.output();
        for secret in &secrets {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{service} tells a secret: {line:?}");
        }
        logs.push((service, log));
    }
    Ok((id, logs))
}

/// The provisioner has nothing to say of a session that comes and goes well.
fn names_sessions(service: Service) -> bool {
    service != Service::Provisioner
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_for_machines_name_the_session_and_never_a_token_or_a_password() -> Result<()> {
    let (id, logs) = logs("json").await?;
    for (service, log) in logs {
        let mut of_session = 0;
        for line in log.lines() {
            let entry: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{service}: not JSON ({error}): {line}"));
            for field in ["timestamp", "level", "target"] {
                assert!(entry[field].is_string(), "{service}: no {field}: {line}");
            }
            let spans = entry["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
            of_session += usize::from(spans.iter().chain([&entry]).any(|from| from["session.id"] == id));
        }
        assert!(
            of_session > 0 || !names_sessions(service),
            "{service} never names the session:\n{log}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_for_people_name_the_session_and_never_a_token_or_a_password() -> Result<()> {
    let (id, logs) = logs("pretty").await?;
    for (service, log) in logs {
        let named = log.contains(&format!("session.id={id}")) || log.contains(&format!("session.id=\"{id}\""));
        assert!(
            named || !names_sessions(service),
            "{service} never names the session:\n{log}"
        );
        assert!(!log.contains("\u{1b}["), "{service} colours what no terminal shows");
    }
    Ok(())
}
