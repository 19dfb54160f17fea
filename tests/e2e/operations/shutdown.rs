//! SIGTERM: the intake stops at once, what is under way is finished, and nothing is waited for beyond the grace.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::stack::Service;
use e2e::eventually;
use proto::v1::{ListSchemasRequest, provisioner_service_client::ProvisionerServiceClient};
use testkit::{Api, Stack};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tonic::transport::Endpoint;

/// A lock on a table that requests need: they hang until it is dropped.
struct Lock(tokio_postgres::Client);

impl Lock {
    async fn on(stack: &Stack, table: &str) -> Result<Self> {
        let client = stack.database().connect().await?;
        client
            .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await?;
        Ok(Self(client))
    }

    /// Waits until a statement of `login` stands before the lock.
    async fn is_met(&self, stack: &Stack, login: &str) -> Result<()> {
        let name = format!("{}_{login}", stack.database().name());
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
        eventually("a statement waits", Duration::from_secs(10), async || {
            // Within a transaction PostgreSQL goes on showing what it showed first.
            self.0.batch_execute("SELECT pg_stat_clear_snapshot()").await?;
            Ok(self.0.query_one(sql, &[&name]).await?.get::<_, i64>(0) > 0)
        })
        .await
    }
}

/// Sends SIGTERM, waits until nobody is let in any more, lets what hangs go on, and awaits its answer and the end.
async fn drains(stack: &mut Stack, service: Service, lock: Lock, mut under_way: JoinSet<Result<()>>) -> Result<()> {
    let public = stack.processes().addresses(service)?.public[0].address;
    let private = Api::new(&stack.processes().admin_url(service)?);
    stack.processes().process(service)?.ask_to_stop();
    eventually("nobody is let in", Duration::from_secs(5), async || {
        Ok(TcpStream::connect(public).is_err())
    })
    .await?;
    let told = private.get("/readyz").await?;
    assert_eq!(
        (told.status().as_u16(), told.answer.text().as_str()),
        (503, "stopping\n")
    );
    assert!(under_way.try_join_next().is_none(), "it was cut off");
    drop(lock);
    let started = Instant::now();
    under_way.join_next().await.context("something under way")???;
    let status = tokio::task::block_in_place(|| {
        stack
            .processes()
            .process(service)?
            .wait(Duration::from_secs(8))
            .context("it goes on")
    })?;
    assert_eq!(status.code(), Some(0), "{service} left with {status}");
    println!("{service} was gone {:?} after its last answer", started.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_what_is_under_way_finish_and_nothing_new_in() -> Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.wait_for_pool(1).await?;
    let session = stack.session(&["ecommerce"]).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default().to_owned();
    let schema = format!(
        "preview_{}",
        session["id"].as_str().unwrap_or_default().replace('-', "")
    );

    let lock = Lock::on(&stack, &format!("{schema}.ecommerce_products")).await?;
    let (api, mut under_way) = (stack.tenant(0).session(&token), JoinSet::new());
    under_way.spawn(async move {
        api.get("/api/v1/ecommerce/products").await?.data(200);
        Ok(())
    });
    lock.is_met(&stack, "tenant").await?;
    drains(&mut stack, Service::TenantApi(0), lock, under_way).await?;

    let lock = Lock::on(&stack, "control.sessions").await?;
    let (api, mut under_way) = (stack.gateway(), JoinSet::new());
    under_way.spawn(async move {
        api.get(&format!("/api/preview/sessions/{token}")).await?.data(200);
        Ok(())
    });
    lock.is_met(&stack, "orchestrator").await?;
    drains(&mut stack, Service::Orchestrator, lock, under_way).await?;

    let lock = Lock::on(&stack, "provisioner.slots").await?;
    let channel = Endpoint::from_shared(stack.processes().url(Service::Provisioner)?)?
        .connect()
        .await?;
    let mut provisioner = ProvisionerServiceClient::with_interceptor(channel, stack.caller()?);
    let mut under_way = JoinSet::new();
    under_way.spawn(async move {
        provisioner.list_schemas(ListSchemasRequest::default()).await?;
        Ok(())
    });
    lock.is_met(&stack, "provisioner").await?;
    drains(&mut stack, Service::Provisioner, lock, under_way).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_is_cut_off_when_the_grace_is_over_and_streams_end_at_once() -> Result<()> {
    let mut stack = Stack::builder()
        .env("SHUTDOWN_GRACE_SECONDS", 2)
        .env("STATEMENT_TIMEOUT_MS", 60_000)
        .env("REQUEST_TIMEOUT_SECONDS", 60)
        .start()
        .await?;
    stack.wait_for_pool(1).await?;
    let session = stack.session(&["ecommerce"]).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default().to_owned();
    let schema = format!(
        "preview_{}",
        session["id"].as_str().unwrap_or_default().replace('-', "")
    );
    let lock = Lock::on(&stack, &format!("{schema}.ecommerce_products")).await?;
    let (api, mut hanging) = (stack.tenant(0).session(&token), JoinSet::new());
    hanging.spawn(async move { api.get("/api/v1/ecommerce/products").await });
    lock.is_met(&stack, "tenant").await?;
    let took = stopped(&mut stack, Service::TenantApi(0))?;
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    drop(lock);

    // The tenant-api's stream of invalidations is gone with it; this one stands for another replica's, and a browser
    // follows the session.
    let mut directory = proto::v1::tenant_directory_client::TenantDirectoryClient::with_interceptor(
        stack.grpc().await?,
        stack.caller()?,
    );
    let mut stream = directory
        .watch_invalidations(proto::v1::WatchInvalidationsRequest {})
        .await?
        .into_inner();
    stream.next().await.context("a first message")??;
    let (api, mut following) = (stack.gateway(), JoinSet::new());
    following.spawn(async move { api.get(&format!("/api/preview/sessions/{token}/events")).await });
    let took = stopped(&mut stack, Service::Orchestrator)?;
    assert!(took < Duration::from_secs(2), "streams held it up for {took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_still_starting_leaves_like_any_other() -> Result<()> {
    let mut stack = Stack::builder().prepare().await?;
    for service in [Service::Provisioner, Service::Orchestrator] {
        // Nobody is there: it waits.
        let nobody = "postgresql://u:p@127.0.0.1:1/nothing";
        stack.processes().tell(service, "DATABASE_URL", &nobody);
        stack.processes().tell(service, "CONTROL_DATABASE_URL", &nobody);
        stack.processes().spawn(service)?;
        let private = Api::new(&stack.processes().admin_url(service)?);
        eventually("it lives", Duration::from_secs(20), async || {
            Ok(private.get("/livez").await.is_ok_and(|answer| answer.status() == 200))
        })
        .await?;
        stopped(&mut stack, service)?;
    }
    Ok(())
}

/// Stops a process with SIGTERM; how long that took.
fn stopped(stack: &mut Stack, service: Service) -> Result<Duration> {
    tokio::task::block_in_place(|| {
        let started = Instant::now();
        let process = stack.processes().process(service)?;
        process.ask_to_stop();
        let status = process.wait(Duration::from_secs(20)).context("it goes on")?;
        assert_eq!(status.code(), Some(0), "{service} left with {status}");
        Ok(started.elapsed())
    })
}
