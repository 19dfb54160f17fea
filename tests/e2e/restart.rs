//! PostgreSQL restarts while requests run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use e2e::{FEATURES, Shopper, eventually};
use serde_json::json;
use testkit::{Api, Service, Stack};
use tokio::task::{JoinSet, block_in_place};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_postgresql_costs_waiting_and_nothing_else() -> Result<()> {
    let mut stack = Stack::builder()
        .env("POOL_TARGET", 0)
        .env("SESSION_REQUESTS_PER_MINUTE", 0)
        // Without it an acknowledged commit may be lost in a crash, by PostgreSQL's own leave.
        .private_postgres(&[("synchronous_commit", "on")])
        .start()
        .await?;
    let api = stack.visitor(&FEATURES).await?;
    let admin = Shopper::demo(&api, "admin@preview.local").await?.api;
    let category = api.get("/api/v1/ecommerce/categories/home-and-desk").await?.data(200)["id"].clone();

    let over = Arc::new(AtomicBool::new(false));
    let mut visitors = JoinSet::new();
    for number in 0..4 {
        let (admin, category, over) = (admin.clone(), category.clone(), over.clone());
        visitors.spawn(async move { writes(&admin, number, &category, &over).await });
    }
    for crash in [false, true] {
        let mut cluster = stack.database().cluster().expect("a private one").lock().await;
        block_in_place(|| {
            if crash {
                cluster.crash();
                cluster.start()
            } else {
                cluster.restart()
            }
        })?;
        drop(cluster);
        eventually("requests are served again", Duration::from_secs(30), async || {
            Ok(api.get("/api/v1/ecommerce/products").await?.status() == 200)
        })
        .await?;
        let gateway = stack.gateway();
        let wanted = json!({ "selectedFeatures": ["ecommerce.products"], "tier": "starter" });
        eventually("sessions can be created again", Duration::from_secs(30), async || {
            Ok(gateway.post("/api/preview/sessions", &wanted).await?.status() == 201)
        })
        .await?;
    }
    over.store(true, Ordering::Relaxed);

    let mut acknowledged = BTreeSet::new();
    let mut waited = 0;
    while let Some(visitor) = visitors.join_next().await {
        let (mut written, refused) = visitor??;
        acknowledged.append(&mut written);
        waited += refused;
    }
    assert!(waited > 0, "no request met the restart: the test proves nothing");
    assert!(!acknowledged.is_empty());
    let stored = skus(&admin).await?;
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for service in [Service::Provisioner, Service::Orchestrator, Service::TenantApi(0)] {
        stack.processes().process(service)?.require_alive()?;
    }
    Ok(())
}

/// Creates products until it is over. Every answer is a success or asks to wait.
async fn writes(
    admin: &Api,
    number: u32,
    category: &serde_json::Value,
    over: &AtomicBool,
) -> Result<(BTreeSet<String>, u32)> {
    let (mut written, mut refused) = (BTreeSet::new(), 0);
    // The table's limit of 1000 rows is not what this is about.
    for count in 0..200 {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let sku = format!("R{number}-{count:04}");
        let body = json!({ "sku": sku, "name": sku, "categoryId": category, "price": "1.00" });
        let reply = admin.post("/api/v1/ecommerce/products", &body).await?;
        if reply.status() == 201 {
            written.insert(sku);
        } else {
            reply.error(503, "UNAVAILABLE");
            refused += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((written, refused))
}

async fn skus(admin: &Api) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for page in 1.. {
        let (rows, pagination) = admin
            .get(&format!("/api/v1/ecommerce/products?limit=100&page={page}"))
            .await?
            .list();
        all.extend(rows.iter().filter_map(|row| row["sku"].as_str().map(str::to_owned)));
        if page >= pagination.total_pages {
            break;
        }
    }
    Ok(all)
}
