//! Two orchestrators and two provisioners under load: one of each is killed, and nobody notices but the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Creation, Deadline, Session, Studio};
use devstack::stack::Service;
use domain::SessionStatus;
use e2e::eventually;
use e2e::proxy::{Lenient, Protocol, Proxy};
use serde_json::json;
use testkit::{Api, Stack};
use tokio::task::JoinSet;

use crate::world;

/// Within a minute everything is right again.
const RECOVERY: Duration = Duration::from_secs(60);
/// Callers, and sessions of each.
const CALLERS: usize = 4;
const SESSIONS: usize = 6;
const PRODUCTS: &str = "/api/v1/ecommerce/products";

/// One address for two replicas, as a load balancer gives.
async fn balancer(stack: &mut Stack, replicas: [Service; 2], port: usize) -> Result<Proxy> {
    let proxy = Proxy::start(Protocol::Opaque, Arc::new(Lenient)).await?;
    let mut addresses = Vec::new();
    for replica in replicas {
        addresses.push(stack.processes().addresses(replica)?.public[port].address);
    }
    proxy.leads_to(&addresses);
    Ok(proxy)
}

/// Creates sessions and ends every second one. Repeats what was not answered, as it was told, until it is.
async fn calls(studio: Studio, done: Arc<AtomicUsize>) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let creation = Creation::of(["ecommerce"], "starter").for_visitor("192.0.2.7".parse()?);
        let mut session = studio.create(&creation).await?;
        let token = session.token.clone().context("the creator learns the token")?;
        while session.status != SessionStatus::Ready {
            ensure!(session.status.is_live(), "{session:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            session = studio.get(&token).await?;
        }
        if number % 2 == 0 {
            studio.end(&token).await?;
        } else {
            session.token = Some(token);
            sessions.push(session);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(sessions)
}

/// A visitor of a living session never meets anything but answers.
async fn visits(api: Api, over: Arc<AtomicBool>) -> Result<usize> {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        api.get(PRODUCTS).await?.data(200);
        count += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_each_is_killed_under_load_and_no_session_is_lost_or_doubled() -> Result<()> {
    let mut stack = Stack::builder()
        .env("POOL_TARGET", 4)
        .env("RECONCILE_INTERVAL_SECONDS", 1)
        .env("MAX_PREVIEW_SCHEMAS", 1000)
        .prepare()
        .await?;
    let orchestrators = [Service::Orchestrator, Service::SecondOrchestrator];
    let provisioners = [Service::Provisioner, Service::SecondProvisioner];
    stack.processes().add(Service::SecondOrchestrator)?;
    stack.processes().add(Service::SecondProvisioner)?;
    let provisioner = balancer(&mut stack, provisioners, 0).await?;
    let orchestrator = balancer(&mut stack, orchestrators, 1).await?;
    let (calls_url, grpc_url) = (
        format!("http://{}", provisioner.address()),
        format!("http://{}", orchestrator.address()),
    );
    for service in orchestrators {
        stack.processes().tell(service, "PROVISIONER_URL", &calls_url);
    }
    stack
        .processes()
        .tell(Service::TenantApi(0), "ORCHESTRATOR_URL", &grpc_url);
    stack.processes().start(|_| ()).await?;

    let secret = stack.database().secrets().get("INTERNAL_API_SECRET").to_owned();
    let studio = || anyhow::Ok(Studio::at(&grpc_url, &secret)?.within(Deadline(RECOVERY)));
    let creation = Creation::of(["ecommerce"], "starter").for_visitor("192.0.2.8".parse()?);
    let old = studio()?.create(&creation).await?.token.context("a token")?;
    let visitor = stack.tenant(0).session(&old);
    eventually("the visitor is served", RECOVERY, async || {
        Ok(visitor.get(PRODUCTS).await?.status() == 200)
    })
    .await?;

    let (done, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (mut callers, mut visitors) = (JoinSet::new(), JoinSet::new());
    for _ in 0..CALLERS {
        callers.spawn(calls(studio()?, done.clone()));
    }
    visitors.spawn(visits(visitor, over.clone()));
    for (killed, at) in [(Service::Orchestrator, CALLERS), (Service::Provisioner, 2 * CALLERS)] {
        eventually("there is load", RECOVERY, async || {
            Ok(done.load(Ordering::Relaxed) >= at)
        })
        .await?;
        stack.processes().kill(killed)?;
        ensure!(
            done.load(Ordering::Relaxed) < CALLERS * SESSIONS,
            "all was over before {killed} was killed"
        );
    }
    let mut sessions = Vec::new();
    while let Some(called) = callers.join_next().await {
        sessions.extend(called??);
    }
    over.store(true, Ordering::Relaxed);
    let visited = visitors.join_next().await.context("a visitor")???;
    ensure!(visited > 0, "nobody visited");

    assert_eq!(sessions.len(), CALLERS * SESSIONS / 2);
    let look = stack.database().connect().await?;
    let right = eventually("the world matches the records", RECOVERY, async || {
        Ok(world::wrongs(&look, stack.database()).await?.is_empty())
    });
    if let Err(error) = right.await {
        return Err(error.context(format!("{:#?}", world::wrongs(&look, stack.database()).await?)));
    }
    let counts = look
        .query_one(
            "SELECT count(*), count(*) FILTER (WHERE status = 'READY') FROM control.sessions",
            &[],
        )
        .await?;
    let (all, ready) = (
        i64::try_from(CALLERS * SESSIONS)? + 1,
        i64::try_from(sessions.len())? + 1,
    );
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (all, ready));
    for session in &sessions {
        let api = stack.tenant(0).session(session.token.as_deref().unwrap_or_default());
        api.get(PRODUCTS).await?.data(200);
    }
    // The one that is left leads: what expires now is over in its next round.
    look.execute(
        "UPDATE control.sessions SET expires_at = now() WHERE status = 'READY'",
        &[],
    )
    .await?;
    eventually("expired sessions are over", RECOVERY, async || {
        let sql = "SELECT count(*) FROM control.sessions WHERE status = 'READY' OR drop_due";
        Ok(look.query_one(sql, &[]).await?.get::<_, i64>(0) == 0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_restarted_is_served_at_once_by_every_replica() -> Result<()> {
    let stack = Stack::builder().tenants(2).env("POOL_TARGET", 3).start().await?;
    stack.wait_for_pool(1).await?;
    let session = stack.session(&["ecommerce"]).await?;
    let token = session["sessionToken"].as_str().context("a token")?.to_owned();
    let session = format!("/api/preview/sessions/{token}");
    for _ in 0..12 {
        let restart = format!("{session}/restart");
        let mut now = stack.gateway().post(&restart, &json!({})).await?.data(200);
        while now["schemaStatus"] != "READY" {
            tokio::time::sleep(Duration::from_millis(20)).await;
            now = stack.gateway().get(&session).await?.data(200);
        }
        // What each knows of the session may be older than the restart.
        for replica in 0..2 {
            stack.tenant(replica).session(&token).get(PRODUCTS).await?.data(200);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_follows_a_change_of_features_within_a_second() -> Result<()> {
    let stack = Stack::builder().tenants(2).start().await?;
    let session = stack.session(&[]).await?;
    let token = session["sessionToken"].as_str().context("a token")?;
    let path = format!("/api/preview/sessions/{token}");
    let message =
        json!({"name": "Vera", "email": "vera@example.org", "subject": "Hello", "message": "Is anybody there?"});
    let written = stack
        .tenant(0)
        .session(token)
        .post("/api/v1/contact", &message)
        .await?
        .data(201);
    for (features, status) in [
        (json!(["ecommerce"]), 200),
        (json!([]), 404),
        (json!(["ecommerce"]), 200),
    ] {
        for replica in 0..2 {
            // What it knows is fresh, and wrong in a moment.
            stack.tenant(replica).session(token).get(PRODUCTS).await?;
        }
        stack
            .gateway()
            .patch(&path, &json!({"selectedFeatures": features}))
            .await?
            .data(200);
        let changed = Instant::now();
        for replica in 0..2 {
            let api = stack.tenant(replica).session(token);
            eventually("it follows", Duration::from_secs(1), async || {
                Ok(api.get(PRODUCTS).await?.status() == status)
            })
            .await?;
        }
        println!("followed after {:?}", changed.elapsed());
    }
    let database = stack.database().connect().await?;
    let schema = format!("preview_{}", session["id"].as_str().context("an id")?.replace('-', ""));
    let kept = format!(
        "SELECT count(*) FROM {schema}.ecommerce_products UNION ALL SELECT count(*) FROM {schema}.contact_messages WHERE id = '{}'",
        written["id"].as_str().context("an id")?
    );
    let counts: Vec<i64> = database.query(&kept, &[]).await?.iter().map(|row| row.get(0)).collect();
    ensure!(
        counts[0] > 0 && counts[1] == 1,
        "seeded once, and nothing lost: {counts:?}"
    );
    Ok(())
}

/// Leaves messages until there are so many, and repeats what was not answered. Tells how often that was needed.
async fn writes(api: Api, writer: usize, done: Arc<AtomicUsize>) -> Result<usize> {
    let mut repeated = 0;
    for number in 0..30 {
        let subject = format!("{writer}-{number}");
        let message =
            json!({"name": "Vera", "email": "vera@example.org", "subject": subject, "message": "Is anybody there?"});
        loop {
            match api.post("/api/v1/contact", &message).await {
                Ok(reply) if reply.status() == 201 => break,
                Ok(reply) => ensure!(reply.status() == 503, "{}", reply.answer.text()),
                // Its connection broke: whether it was written is not known.
                Err(_) => repeated += 1,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(repeated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_api_that_is_killed_takes_nothing_along_that_was_answered() -> Result<()> {
    let mut stack = Stack::builder()
        .tenants(2)
        .env("CONTACT_MESSAGES_PER_MINUTE", 0)
        .start()
        .await?;
    let balancer = balancer(&mut stack, [Service::TenantApi(0), Service::TenantApi(1)], 0).await?;
    let session = stack.session(&[]).await?;
    let token = session["sessionToken"].as_str().context("a token")?;
    let api = Api::new(&format!("http://{}", balancer.address())).session(token);

    let done = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..CALLERS {
        writers.spawn(writes(api.clone(), writer, done.clone()));
    }
    eventually("there is load", RECOVERY, async || {
        Ok(done.load(Ordering::Relaxed) >= 20)
    })
    .await?;
    stack.processes().kill(Service::TenantApi(0))?;
    let mut repeated = 0;
    while let Some(written) = writers.join_next().await {
        repeated += written??;
    }
    ensure!(repeated > 0, "nobody noticed: the test proves nothing");

    let schema = format!("preview_{}", session["id"].as_str().context("an id")?.replace('-', ""));
    let sql = format!(
        "SELECT count(DISTINCT subject), count(*) FROM {schema}.contact_messages WHERE subject ~ '^[0-9]+-[0-9]+$'"
    );
    let counts = stack.database().connect().await?.query_one(&sql, &[]).await?;
    let (kept, all): (i64, i64) = (counts.get(0), counts.get(1));
    assert_eq!(usize::try_from(kept)?, CALLERS * 30);
    ensure!(
        usize::try_from(all - kept)? <= repeated,
        "{all} rows for {kept} messages and {repeated} repeats"
    );
    Ok(())
}
