//! Sessions whose time is over, and those that only seem silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::eventually;
use futures::future::try_join_all;
use testkit::Stack;
use tokio::task::JoinSet;

use crate::world;

/// The contract gives them a minute.
const LIMIT: Duration = Duration::from_secs(60);
const PRODUCTS: &str = "/api/v1/ecommerce/products";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_expire_together_are_gone_together_and_visitors_of_others_go_on() -> Result<()> {
    let stack = Stack::builder().env("RECONCILE_INTERVAL_SECONDS", 1).start().await?;
    let sessions = try_join_all((0..8).map(|_| stack.session(&["ecommerce"]))).await?;
    let token = |number: usize| sessions[number]["sessionToken"].as_str().unwrap_or_default();
    let (visitor, expiring) = (stack.tenant(0).session(token(0)), stack.tenant(0).session(token(1)));
    expiring.get(PRODUCTS).await?.data(200);
    let (over, mut visits) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let stop = over.clone();
    visits.spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            visitor.get(PRODUCTS).await?.data(200);
        }
        anyhow::Ok(())
    });

    let look = stack.database().connect().await?;
    let id = sessions[0]["id"].as_str().unwrap_or_default();
    let sql = "UPDATE control.sessions SET expires_at = now() WHERE id <> $1::text::uuid";
    ensure!(look.execute(sql, &[&id]).await? == 7);

    eventually("all but one are gone", LIMIT, async || {
        let wrongs = world::wrongs(&look, stack.database()).await?;
        let sql = "SELECT count(*) FROM provisioner.slots WHERE state = 'claimed'";
        let claimed: i64 = look.query_one(sql, &[]).await?.get(0);
        Ok(claimed == 1 && wrongs.iter().all(|wrong| wrong.contains("without a key")))
    })
    .await?;
    expiring.get(PRODUCTS).await?.error(410, "SESSION_EXPIRED");
    over.store(true, Ordering::Relaxed);
    while let Some(visited) = visits.join_next().await {
        visited??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_of_the_application_keeps_a_session_alive() -> Result<()> {
    let stack = Stack::builder().start().await?;
    let session = stack.session(&["ecommerce"]).await?;
    let look = stack.database().connect().await?;
    look.execute(
        "UPDATE control.sessions SET last_accessed_at = now() - interval '29 minutes'",
        &[],
    )
    .await?;
    let visitor = stack
        .tenant(0)
        .session(session["sessionToken"].as_str().unwrap_or_default());
    visitor.get(PRODUCTS).await?.data(200);
    eventually("the traffic is known", LIMIT, async || {
        let sql = "SELECT last_accessed_at > now() - interval '1 minute' FROM control.sessions";
        Ok(look.query_one(sql, &[]).await?.get(0))
    })
    .await
}
