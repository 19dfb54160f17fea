//! Every message between orchestrator, provisioner and PostgreSQL fails once, in both directions; and each process is
//! killed before and after everything that it commits. Afterwards the world matches the records, and no client was
//! told what is not so.

mod kind;
mod life;
mod steps;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use devstack::stack::Service;
use e2e::eventually;
use e2e::proxy::{Protocol, Proxy};
use proto::v1::{SetPoolTargetRequest, provisioner_service_client::ProvisionerServiceClient};
use service::grpc::{Caller, channel};
use testkit::Stack;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::block_in_place;
use tokio_postgres::Client as Database;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::world;
use kind::KINDS;
use life::{Client, Life};
use steps::{Fault, Steps};

/// After so many whole lives without a new step all have been met.
const QUIET: usize = KINDS.len();
/// A bound for all of it, so that a step that is never done with is a failure.
const LIMIT: Duration = Duration::from_secs(360);
/// Within a minute everything is right again, without a hand.
const RECOVERY: Duration = Duration::from_secs(60);

/// A stack whose every message passes a proxy.
struct Scene {
    stack: Stack,
    steps: Arc<Steps>,
    kills: UnboundedReceiver<Service>,
    _proxies: [Proxy; 3],
}

impl Scene {
    async fn new(fault: Fault) -> Result<Self> {
        let mut stack = Stack::builder()
            .env("POOL_TARGET", 1)
            .env("RECONCILE_INTERVAL_SECONDS", 1)
            .env("MAX_PREVIEW_SCHEMAS", 1000)
            .prepare()
            .await?;
        let (steps, kills) = Steps::new(fault);
        let mut links = Vec::new();
        for (service, login, link) in [
            (Service::Provisioner, "provisioner", "provisioner to PostgreSQL"),
            (Service::Orchestrator, "orchestrator", "orchestrator to PostgreSQL"),
        ] {
            let proxy = Proxy::start(Protocol::Postgres, steps.of(service, link)).await?;
            let mut url = stack.database().database().url_as(login)?;
            proxy.leads_to(&url.socket_addrs(|| Some(5432))?);
            let _ = (
                url.set_ip_host(proxy.address().ip()),
                url.set_port(Some(proxy.address().port())),
            );
            stack.processes().tell(service, "DATABASE_URL", &url);
            stack.processes().tell(service, "CONTROL_DATABASE_URL", &url);
            links.push(proxy);
        }
        let link = steps.of(Service::Orchestrator, "orchestrator to provisioner");
        let calls = Proxy::start(Protocol::Http2, link).await?;
        calls.leads_to(&[stack.processes().addresses(Service::Provisioner)?.public[0].address]);
        let url = format!("http://{}", calls.address());
        stack.processes().tell(Service::Orchestrator, "PROVISIONER_URL", &url);
        let [provisioner, orchestrator] = links.try_into().map_err(|_| anyhow::anyhow!("two links"))?;
        Ok(Self {
            stack,
            steps,
            kills,
            _proxies: [provisioner, orchestrator, calls],
        })
    }

    /// Lives lives until no step is new any more, and all that are known of were met: some come only when two things
    /// meet. Killed processes are started again at once.
    async fn run(&mut self) -> Result<Vec<Life>> {
        let client = Client::of(&self.stack, &self.steps)?;
        let mut pool = self.pool()?;
        let database = self.stack.database().connect().await?;
        let (steps, kills, stack) = (self.steps.clone(), &mut self.kills, &mut self.stack);
        let respawn = async {
            while let Some(service) = kills.recv().await {
                block_in_place(|| {
                    stack.processes().kill(service)?;
                    stack.processes().spawn(service)
                })?;
                steps.recovered();
            }
            anyhow::Ok(())
        };
        let (started, mut lives) = (Instant::now(), Vec::new());
        let (mut known, mut quiet) = (0, 0);
        let mut told = usize::MAX;
        let all = async {
            loop {
                let unmet = unmet(&steps, &database).await?;
                if quiet >= QUIET && unmet.is_empty() {
                    break;
                }
                if unmet.len() != told {
                    told = unmet.len();
                    println!(
                        "{:.1?}: {} lives, {} faults, not met yet: {told}, as {:?}",
                        started.elapsed(),
                        lives.len(),
                        steps.points().len(),
                        unmet.first()
                    );
                }
                ensure!(
                    started.elapsed() < LIMIT,
                    "there is no end of new steps, or these were never interrupted: {unmet:?}"
                );
                let number = lives.len();
                let target = u32::from(number.is_multiple_of(2)) + 1;
                let _ = pool.set_pool_target(SetPoolTargetRequest { target }).await;
                let life = client.live(number, &database).await?;
                let points = steps.points().len();
                quiet = if points > known {
                    0
                } else {
                    quiet + usize::from(life.over)
                };
                known = points;
                lives.push(life);
            }
            anyhow::Ok(())
        };
        tokio::select! {
            done = all => done?,
            failed = respawn => failed?,
        }
        Ok(lives)
    }

    fn pool(&mut self) -> Result<ProvisionerServiceClient<InterceptedService<Channel, Caller>>> {
        let channel = channel(&self.stack.processes().url(Service::Provisioner)?)?;
        Ok(ProvisionerServiceClient::with_interceptor(
            channel,
            self.stack.caller()?,
        ))
    }

    /// Nothing fails any more: what was promised comes true, and the records match the world.
    async fn settles(&mut self, lives: &[Life]) -> Result<()> {
        self.steps.arm(false);
        while let Ok(service) = self.kills.try_recv() {
            block_in_place(|| {
                self.stack.processes().kill(service)?;
                self.stack.processes().spawn(service)
            })?;
        }
        for service in [Service::Provisioner, Service::Orchestrator] {
            self.stack.processes().wait_ready(service).await?;
        }
        let started = Instant::now();
        let client = Client::of(&self.stack, &self.steps)?;
        for life in lives {
            let what = format!("{life:?} is as it should be");
            eventually(
                &what,
                RECOVERY.saturating_sub(started.elapsed()),
                async || match &life.token {
                    Some(token) if life.over => client.end(token).await,
                    _ => client.keeps(life).await,
                },
            )
            .await?;
        }
        let database = self.stack.database();
        let mut look = database.connect().await?;
        let left = RECOVERY.saturating_sub(started.elapsed());
        let settled = eventually("the world matches the records", left, async || {
            Ok(world::wrongs(&look, database).await?.is_empty())
        });
        if let Err(error) = settled.await {
            return Err(error.context(format!("{:#?}", world::wrongs(&look, database).await?)));
        }
        println!(
            "{} lives met {} faults; all was right {:?} after the last one",
            lives.len(),
            self.steps.points().len(),
            started.elapsed()
        );
        let unclean = world::unclean(&mut look).await?;
        ensure!(unclean.is_empty(), "{unclean:?}");
        Ok(())
    }
}

/// Those of the known steps, and of what sessions can go through, that no fault has met yet.
async fn unmet(steps: &Steps, database: &Database) -> Result<Vec<&'static str>> {
    let missed = steps.missed();
    // Before the first start there are no tables, and everything is missing anyway.
    if !missed.is_empty() {
        return Ok(missed);
    }
    let history = world::history(database).await?;
    let lived = |what: &&str| history.iter().any(|met| met == what);
    Ok(HISTORY.into_iter().filter(|what| !lived(what)).collect())
}

/// What sessions can go through.
const HISTORY: [&str; 12] = [
    ">PENDING",
    "EXTENDED",
    "FAILED>DROPPED",
    "PENDING>DROPPED",
    "PENDING>PROVISIONING",
    "PROVISIONING>DROPPED",
    "PROVISIONING>FAILED",
    "PROVISIONING>READY",
    "READY>DROPPED",
    "RESTARTED",
    "RESTARTING",
    "UPDATED",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_may_be_lost_and_every_answer() -> Result<()> {
    let mut scene = Scene::new(Fault::Cut).await?;
    scene.steps.arm(true);
    scene.stack.processes().start(|_| ()).await?;
    let lives = scene.run().await?;
    scene.settles(&lives).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_may_be_killed_before_and_after_each_commit() -> Result<()> {
    let mut scene = Scene::new(Fault::Kill).await?;
    scene.steps.arm(true);
    scene.stack.database().install().await?;
    for service in [Service::Provisioner, Service::Orchestrator, Service::TenantApi(0)] {
        scene.stack.processes().spawn(service)?;
    }
    scene.stack.processes().wait_ready(Service::TenantApi(0)).await?;
    let lives = scene.run().await?;
    scene.settles(&lives).await
}
