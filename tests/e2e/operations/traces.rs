//! One trace from the browser's request to the last statement, over all processes.

use std::time::Duration;

use anyhow::Result;
use e2e::eventually;
use serde_json::json;
use testkit::Stack;
use tokio::task::JoinSet;

use super::collector::{Collector, Span};

const BROWSER: [u8; 8] = [0x11; 8];

fn traceparent(trace: [u8; 16]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("00-{}-{}-01", hex(&trace), hex(&BROWSER))
}

/// Whether `span` stands, directly or not, below one of that name and process.
fn is_below(spans: &[Span], span: &Span, service: &str, name: &str) -> bool {
    let mut parent = span.parent.clone();
    while let Some(above) = spans.iter().find(|other| other.id == parent) {
        if above.service == service && above.name == name {
            return true;
        }
        parent.clone_from(&above.parent);
    }
    false
}

/// Waits until each of the spans (process, name) has arrived below the first one, which continues the browser's.
async fn arrives(collector: &Collector, trace: [u8; 16], expected: &[(&str, &str)]) -> Result<()> {
    let (service, root) = expected[0];
    let complete = eventually("the trace is complete", Duration::from_secs(15), async || {
        let spans = collector.of(&trace);
        let top = spans
            .iter()
            .any(|span| span.name == root && span.service == service && span.parent == BROWSER);
        Ok(top
            && expected[1..].iter().all(|(process, name)| {
                spans
                    .iter()
                    .any(|span| span.service == *process && span.name == *name && is_below(&spans, span, service, root))
            }))
    })
    .await;
    for span in collector.of(&trace).iter().filter(|_| complete.is_err()) {
        eprintln!(
            "{} {} {:02x?} below {:02x?}",
            span.service, span.name, span.id, span.parent
        );
    }
    complete
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_and_a_visit_are_one_trace_each_from_the_browser_to_the_database() -> Result<()> {
    let mut tasks = JoinSet::new();
    let (collector, address) = Collector::start(&mut tasks).await?;
    let stack = Stack::builder()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", 100)
        .start()
        .await?;
    stack.wait_for_pool(1).await?;

    let creation = [0xc1; 16];
    let wanted = json!({ "selectedFeatures": ["ecommerce"], "tier": "starter" });
    let gateway = stack.gateway().with("traceparent", &traceparent(creation));
    let session = gateway.post("/api/preview/sessions", &wanted).await?.data(201);
    let token = session["sessionToken"].as_str().unwrap_or_default();
    arrives(
        &collector,
        creation,
        &[
            ("orchestrator", "http.preview.sessions.create"),
            ("orchestrator", "db.transaction"),
            ("orchestrator", "db.statement"),
            ("provisioner", "rpc.ProvisionerService.ProvisionSchema"),
            ("provisioner", "slot.take"),
            ("provisioner", "slot.seed"),
            ("provisioner", "slot.commit"),
        ],
    )
    .await?;

    let visit = [0xd2; 16];
    let visitor = stack.tenant(0).session(token).with("traceparent", &traceparent(visit));
    visitor.get("/api/v1/ecommerce/products").await?.data(200);
    arrives(
        &collector,
        visit,
        &[
            ("tenant-api", "http.ecommerce.products.list"),
            ("orchestrator", "rpc.TenantDirectory.ResolveTenant"),
            ("orchestrator", "db.statement"),
            ("tenant-api", "db.begin"),
            ("tenant-api", "db.statement"),
        ],
    )
    .await?;

    // Neither here nor in anything that was going on meanwhile; also not where the address was wrong.
    let path = format!("/api/preview/sessions/{token}");
    let refused = [0xe3; 16];
    let gateway = stack.gateway().with("traceparent", &traceparent(refused));
    gateway.get(&path).await?.data(200);
    gateway.get(&format!("{path}/nothing")).await?.error(404, "NOT_FOUND");
    gateway.delete(&path).await?.data(200);
    eventually("the last spans arrive", Duration::from_secs(15), async || {
        let ended = collector.of(&refused);
        Ok(ended.iter().filter(|span| span.parent == BROWSER).count() == 3)
    })
    .await?;
    let secrets = stack.database().secrets();
    let spans = collector.all();
    for secret in [
        token,
        secrets.get("INTERNAL_API_SECRET"),
        secrets.get("ORCHESTRATOR_DB_PASSWORD"),
        secrets.get("TENANT_DB_PASSWORD"),
    ] {
        let telling = spans.iter().find(|span| span.text.contains(secret));
        assert!(telling.is_none(), "a span tells a secret: {telling:?}");
    }
    let id = session["id"].as_str().unwrap_or_default();
    assert!(collector.of(&visit).iter().any(|span| span.text.contains(id)));
    Ok(())
}
