//! `/livez`, `/readyz`, `/metrics` of each process.

use std::time::Duration;

use anyhow::Result;
use devstack::stack::Service;
use e2e::eventually;
use serde_json::json;
use testkit::{Api, Stack};

const SERVICES: [Service; 3] = [Service::Orchestrator, Service::Provisioner, Service::TenantApi(0)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_ready_while_its_database_answers_and_alive_all_the_time() -> Result<()> {
    let mut stack = Stack::builder().private_postgres(&[]).start().await?;
    stack.wait_for_pool(1).await?;
    let private = SERVICES
        .iter()
        .map(|service| Ok(Api::new(&stack.processes().admin_url(*service)?)))
        .collect::<Result<Vec<_>>>()?;
    for stopped in [true, false] {
        let mut cluster = stack.database().cluster().expect("a cluster of its own").lock().await;
        tokio::task::block_in_place(|| {
            if stopped {
                cluster.stop();
                Ok(())
            } else {
                cluster.start()
            }
        })?;
        drop(cluster);
        for api in &private {
            let wanted = if stopped { 503 } else { 200 };
            eventually(
                "the readiness follows the database",
                Duration::from_secs(30),
                async || {
                    assert_eq!(api.get("/livez").await?.status(), 200);
                    Ok(api.get("/readyz").await?.status() == wanted)
                },
            )
            .await?;
            let told = api.get("/readyz").await?.answer.text();
            assert!(!told.contains("password") && !told.contains("postgresql://"), "{told}");
        }
    }
    for service in SERVICES {
        stack.processes().process(service)?.require_alive()?;
    }
    Ok(())
}

/// The series that alerts and their explanations name.
fn named_in_operations() -> Vec<&'static str> {
    const OURS: [&str; 6] = [
        "tenant_api_",
        "session_",
        "provisioner_",
        "reconcile_round_",
        "http_request_",
        "orphaned_schemas_",
    ];
    const ENDS: [&str; 7] = ["_total", "_seconds", "_count", "_bucket", "_sum", "_slots", "_target"];
    let text = include_str!("../../../docs/operations.md");
    let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
    let is_series =
        |word: &&str| OURS.iter().any(|ours| word.starts_with(ours)) && ENDS.iter().any(|end| word.ends_with(end));
    let found: Vec<_> = words.filter(is_series).collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_tell_what_was_done_and_for_nobody_in_particular() -> Result<()> {
    let mut stack = Stack::builder().env("MAX_SESSIONS_PER_IP", 2).start().await?;
    stack.wait_for_pool(2).await?;
    let session = stack.session(&["ecommerce"]).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default();
    // Another one ends, and a third is one too many meanwhile.
    let other = stack.session(&[]).await?;
    let wanted = json!({ "selectedFeatures": [], "tier": "starter" });
    stack
        .gateway()
        .post("/api/preview/sessions", &wanted)
        .await?
        .error(429, "SESSION_LIMIT_PER_IP");
    let path = format!(
        "/api/preview/sessions/{}",
        other["sessionToken"].as_str().unwrap_or_default()
    );
    stack.gateway().delete(&path).await?.data(200);
    let provisioner = Api::new(&stack.processes().admin_url(Service::Provisioner)?);
    eventually("the slot is recycled", Duration::from_secs(30), async || {
        let told = provisioner.get("/metrics").await?.answer.text();
        Ok(told.contains("outcome=\"recycled\""))
    })
    .await?;
    let api = stack.tenant(0).session(token);
    for _ in 0..3 {
        api.get("/api/v1/ecommerce/products").await?.data(200);
    }
    api.get("/api/v1/ecommerce/products/nothing-of-the-kind")
        .await?
        .error(404, "NOT_FOUND");
    stack
        .tenant(0)
        .get("/api/v1/config")
        .await?
        .error(401, "SESSION_REQUIRED");

    let mut all = String::new();
    for service in SERVICES {
        let private = Api::new(&stack.processes().admin_url(service)?);
        let reply = private.get("/metrics").await?;
        assert_eq!(reply.status(), 200);
        assert!(reply.header("content-type").starts_with("text/plain"));
        all.push_str(&reply.answer.text());
    }
    for (metric, labels, least) in [
        (
            "tenant_api_request_duration_seconds_count",
            &[
                "module=\"ecommerce\"",
                "resource=\"products\"",
                "operation=\"list\"",
                "status=\"2xx\"",
            ][..],
            3.0,
        ),
        (
            "tenant_api_request_duration_seconds_count",
            &["resource=\"products\"", "status=\"4xx\""],
            1.0,
        ),
        (
            "tenant_api_request_duration_seconds_count",
            &["module=\"\"", "status=\"4xx\""],
            1.0,
        ),
        ("tenant_api_directory_lookups_total", &["source=\"miss\""], 1.0),
        ("tenant_api_directory_lookups_total", &["source=\"hit\""], 1.0),
        ("tenant_api_db_connections", &["state=\"idle\""], 1.0),
        ("tenant_api_transaction_statements_count", &[], 4.0),
        ("session_creation_seconds_count", &["outcome=\"ready\""], 1.0),
        ("session_transitions_total", &["to=\"PENDING\""], 1.0),
        ("session_transitions_total", &["to=\"PROVISIONING\""], 1.0),
        ("session_transitions_total", &["to=\"READY\""], 1.0),
        ("session_transitions_total", &["to=\"DROPPED\""], 1.0),
        ("session_limits_hit_total", &["code=\"SESSION_LIMIT_PER_IP\""], 1.0),
        ("http_request_seconds_count", &[], 3.0),
        ("provisioner_provisioned_total", &["from=\"warm\""], 1.0),
        ("provisioner_slots_target", &[], 1.0),
        ("provisioner_slots{", &[], 1.0),
        ("provisioner_step_duration_seconds_count", &["step=\"claim\""], 1.0),
        ("provisioner_step_duration_seconds_count", &["step=\"seed\""], 1.0),
        ("provisioner_step_duration_seconds_count", &["step=\"recycle\""], 1.0),
    ] {
        let value = all
            .lines()
            .filter(|line| line.starts_with(metric) && labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>();
        assert!(value >= least, "{metric} {labels:?} is {value}:\n{all}");
    }
    assert!(
        all.lines()
            .any(|line| line.starts_with("tenant_api_requests_in_flight")),
        "{all}"
    );
    for name in named_in_operations() {
        assert!(
            all.contains(name),
            "docs/operations.md names {name}, which is nowhere in\n{all}"
        );
    }
    let id = session["id"].as_str().unwrap_or_default();
    assert!(
        !all.contains(token) && !all.contains(id) && !all.contains(&id.replace('-', "")),
        "{all}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_somebody_else_is_counted_for_the_alert() -> Result<()> {
    let stack = Stack::builder().env("ISOLATION_CHECK_EVERY", 1).start().await?;
    let visitor = stack.visitor(&["core"]).await?;
    visitor.get("/api/v1/faqs").await?.data(200);
    let private = stack.tenant_admin(0);
    let mismatches = async || -> Result<bool> {
        let figures = private.get("/metrics").await?.answer.text();
        let series = "tenant_api_isolation_checks_total{outcome=\"mismatch\"}";
        let line = figures.lines().find(|line| line.starts_with(series));
        Ok(line.is_some_and(|line| line.ends_with(" 1")))
    };
    assert!(!mismatches().await?);
    let look = stack.database().connect().await?;
    let schema: String = look
        .query_one("SELECT schema_name FROM provisioner.slots WHERE state = 'claimed'", &[])
        .await?
        .get(0);
    look.batch_execute(&format!(
        "CREATE OR REPLACE VIEW {schema}.slot_identity AS SELECT 'another'::text AS role"
    ))
    .await?;
    visitor.get("/api/v1/faqs").await?.error(500, "INTERNAL");
    assert!(mismatches().await?);
    Ok(())
}
