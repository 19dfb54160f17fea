//! What still works while parts are away, over real processes: with `restart` and `replicas` a test for each
//! row of the contract's table.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use devstack::stack::Service;
use domain::Clock;
use e2e::eventually;
use e2e::proxy::{Lenient, Protocol, Proxy};
use serde_json::{Value, json};
use testkit::{Api, Stack};

use crate::world;

/// More than anything takes that comes back by itself.
const RECOVERY: Duration = Duration::from_secs(60);
const PRODUCTS: &str = "/api/v1/ecommerce/products";
const CART: &str = "/api/v1/ecommerce/cart";

fn token(session: &Value) -> &str {
    session["sessionToken"].as_str().unwrap_or_default()
}

async fn becomes(api: &Api, path: &str, status: u16) -> Result<()> {
    eventually(&format!("{path} answers {status}"), RECOVERY, async || {
        Ok(api.get(path).await?.status() == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_orchestrator_known_sessions_go_on_until_they_expire_and_no_other_is_denied() -> Result<()> {
    let mut stack = Stack::builder()
        .env("TENANT_CACHE_TTL_SECONDS", 1)
        .env("PREVIEW_TTL_HOURS", "0.004")
        .start()
        .await?;
    let (known, unknown) = tokio::try_join!(stack.session(&["ecommerce"]), stack.session(&["ecommerce"]))?;
    let (visitor, stranger) = (
        stack.tenant(0).session(token(&known)),
        stack.tenant(0).session(token(&unknown)),
    );
    visitor.get(PRODUCTS).await?.data(200);
    let account = json!({ "email": "vera@example.com", "password": "Sunflower1", "name": "Vera" });

    stack.processes().kill(Service::Orchestrator)?;

    let expires: chrono::DateTime<chrono::Utc> = known["expiresAt"].as_str().context("an end")?.parse()?;
    let mut served = 0;
    loop {
        let asked = Clock::system().now();
        let reply = visitor.get(PRODUCTS).await?;
        if reply.status() == 410 {
            reply.error(410, "SESSION_EXPIRED");
            assert!(Clock::system().now() >= expires, "too early: it ends at {expires}");
            break;
        }
        reply.data(200);
        assert!(asked < expires, "too late: it ended at {expires}");
        if served == 0 {
            visitor.post("/api/v1/auth/register", &account).await?.data(201);
        }
        served += 1;
        // Never 404 or 401: nobody can know.
        stranger.get(PRODUCTS).await?.error(503, "UNAVAILABLE");
        stack
            .tenant(0)
            .session("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
            .get(PRODUCTS)
            .await?
            .error(503, "UNAVAILABLE");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(served > 0);

    stack.processes().spawn(Service::Orchestrator)?;
    stack.processes().wait_ready(Service::Orchestrator).await?;
    let after = stack.session(&["ecommerce"]).await?;
    becomes(&stack.tenant(0).session(token(&after)), PRODUCTS, 200).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_provisioner_sessions_go_on_and_new_ones_wait_for_it() -> Result<()> {
    let mut stack = Stack::builder().env("RECONCILE_INTERVAL_SECONDS", 1).start().await?;
    let (kept, ended) = tokio::try_join!(stack.session(&["ecommerce"]), stack.session(&["ecommerce"]))?;
    let (gateway, tenant) = (stack.gateway(), stack.tenant(0));
    let path = |session: &Value| format!("/api/preview/sessions/{}", token(session));

    stack.processes().kill(Service::Provisioner)?;

    let wanted = json!({ "selectedFeatures": ["ecommerce"], "tier": "starter" });
    let reply = gateway.post("/api/preview/sessions", &wanted).await?;
    reply.error(503, "UNAVAILABLE");
    let waiting = reply.header("location").to_owned();
    assert_eq!(gateway.get(&waiting).await?.data(200)["schemaStatus"], "PENDING");
    tenant.session(token(&kept)).get(PRODUCTS).await?.data(200);
    gateway.patch(&path(&kept), &json!({ "tier": "pro" })).await?.data(200);
    gateway
        .post(&format!("{}/extend", path(&kept)), &json!({}))
        .await?
        .data(200);
    gateway
        .post(&format!("{}/restart", path(&kept)), &json!({}))
        .await?
        .error(503, "UNAVAILABLE");
    assert_eq!(gateway.delete(&path(&ended)).await?.data(200)["ended"], true);
    becomes(&tenant.session(token(&ended)), PRODUCTS, 410).await?;
    tenant.session(token(&kept)).get(PRODUCTS).await?.data(200);

    stack.processes().spawn(Service::Provisioner)?;
    stack.processes().wait_ready(Service::Provisioner).await?;
    eventually("the waiting session is READY", RECOVERY, async || {
        Ok(gateway.get(&waiting).await?.data(200)["schemaStatus"] == "READY")
    })
    .await?;
    let made = waiting.rsplit('/').next().unwrap_or_default();
    becomes(&tenant.session(made), PRODUCTS, 200).await?;
    let look = stack.database().connect().await?;
    eventually("the schema of the ended session is gone", RECOVERY, async || {
        let wrongs = world::wrongs(&look, stack.database()).await?;
        Ok(wrongs.iter().all(|wrong| wrong.contains("without a key")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_api_that_missed_changes_notices() -> Result<()> {
    let mut stack = Stack::builder().env("TENANT_CACHE_TTL_SECONDS", 3600).prepare().await?;
    let link = Proxy::start(Protocol::Opaque, Arc::new(Lenient)).await?;
    link.leads_to(&[stack.processes().addresses(Service::Orchestrator)?.public[1].address]);
    let url = format!("http://{}", link.address());
    stack.processes().tell(Service::TenantApi(0), "ORCHESTRATOR_URL", &url);
    stack.processes().start(|_| ()).await?;
    let shop = ["ecommerce.products", "ecommerce.cart"];
    let (changed, ended) = tokio::try_join!(stack.session(&shop), stack.session(&shop))?;
    let visitor = |session: &Value| stack.tenant(0).session(token(session));
    visitor(&changed).get(CART).await?.data(200);
    visitor(&ended).get(CART).await?.data(200);

    link.shut();
    let gateway = stack.gateway();
    let path = |session: &Value| format!("/api/preview/sessions/{}", token(session));
    let fewer = json!({ "selectedFeatures": ["ecommerce.products"] });
    gateway.patch(&path(&changed), &fewer).await?.data(200);
    gateway.delete(&path(&ended)).await?.data(200);
    visitor(&changed).get(CART).await?.data(200);
    // The database refuses what the directory does not know yet.
    visitor(&ended).get(CART).await?.error(503, "UNAVAILABLE");

    link.open();
    becomes(&visitor(&changed), CART, 404).await?;
    visitor(&changed).get(CART).await?.error(404, "FEATURE_NOT_AVAILABLE");
    becomes(&visitor(&ended), CART, 410).await
}
