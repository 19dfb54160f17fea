//! `devstack up`: everything, until Ctrl-C.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use devstack::checkout::{Checkout, built};
use devstack::environment::variable;
use devstack::postgres::{Cluster, server};
use devstack::process::{Process, Watchdog};
use devstack::secrets::Secrets;
use devstack::stack::{Database, Options, Ports, Service, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::record::{self, Record};
use super::{exports, first_session};

/// The database of the private cluster.
const DATABASE: &str = "livepreview";

pub async fn run(tenants: usize) -> Result<ExitCode> {
    let begun = Instant::now();
    let checkout = Checkout::find()?;
    let _lock = record::lock(&checkout)?;
    let record = Record::of(&checkout)?;
    record.stop_all()?;
    record.write([own()])?;
    let mut stop = Stop::listen()?;
    let mut running = tokio::select! {
        running = Running::start(&checkout, &record, tenants) => running?,
        () = stop.asked() => return Ok(ExitCode::FAILURE),
    };
    println!("\n{}", running.description);
    println!(
        "Ready after {:.1?}. Logs are in .devstack/log. Ctrl-C or make down stops all of it.",
        begun.elapsed()
    );
    let ended = tokio::select! {
        ended = running.until_one_dies() => ended,
        () = stop.asked() => Ok(()),
    };
    eprintln!("stopping");
    drop(running);
    record.clear();
    ended.map(|()| ExitCode::SUCCESS)
}

/// All that runs. Dropped in this order: the services before their database.
struct Running {
    stack: Stack,
    cluster: Option<Cluster>,
    description: String,
}

impl Running {
    async fn start(checkout: &Checkout, record: &Record, tenants: usize) -> Result<Self> {
        let secrets = Secrets::of(&checkout.state()?)?;
        let watchdog = Watchdog::start()?;
        let (cluster, admin) = match variable("DATABASE_URL") {
            Some(text) => {
                let url = server::parse("DATABASE_URL", &text)?;
                server::connect("DATABASE_URL", &url).await?;
                eprintln!("using the PostgreSQL of DATABASE_URL");
                (None, url)
            }
            None => {
                let mut cluster = Cluster::lasting(checkout, &secrets, &watchdog)?;
                cluster.start()?;
                record.write([own()].into_iter().chain(cluster.process().map(entry)))?;
                let client = server::connect("the private database", &cluster.url("postgres")?).await?;
                server::create_database(&client, DATABASE).await?;
                let url = cluster.url(DATABASE)?;
                eprintln!(
                    "PostgreSQL {} ready on port {}",
                    cluster.version(),
                    url.port().unwrap_or_default()
                );
                (Some(cluster), url)
            }
        };
        let options = Options {
            database: Database::new(admin, secrets),
            ports: Ports::Default,
            tenants,
            environment: Vec::new(),
            inherit: true,
            logs: checkout.folder("log")?,
            grace: Duration::from_secs(20),
        };
        let stack = Stack::new(options, &watchdog)?;
        let mut running = Self {
            stack,
            cluster,
            description: String::new(),
        };
        running.stack.start(|step| eprintln!("{step}")).await?;
        running.note(checkout, record)?;
        running.description = running.describe(checkout).await?;
        Ok(running)
    }

    fn note(&self, checkout: &Checkout, record: &Record) -> Result<()> {
        let cluster = self.cluster.as_ref().and_then(Cluster::process);
        record.write(
            [own()]
                .into_iter()
                .chain(cluster.into_iter().chain(self.stack.processes()).map(entry)),
        )?;
        let addresses = exports::addresses(&self.stack)?;
        let text: String = addresses.iter().map(|(name, url)| format!("{name}={url}\n")).collect();
        fs::write(checkout.state()?.join("addresses"), text).context(".devstack/addresses cannot be written")
    }

    async fn describe(&self, checkout: &Checkout) -> Result<String> {
        // Without it everything runs all the same, and the operators' command shows what is in the way.
        let session = first_session::describe(checkout, &self.stack).await;
        let session = session.unwrap_or_else(|error| format!("No session to try: {error:#}\n"));
        let previewctl = operators(checkout, &self.stack.grpc_url()?)?;
        let gateway = self.stack.url(Service::Orchestrator)?;
        let tenant = self.stack.url(Service::TenantApi(0))?;
        Ok(format!(
            "Sessions (REST)  {gateway}/api/preview/sessions\nSessions (gRPC)  {}\nPreview API      {tenant}/api/v1\n\
             Operators        {previewctl}\n\n{session}",
            self.stack.grpc_url()?
        ))
    }

    /// Returns only with an error: which process stopped, and its last lines.
    async fn until_one_dies(&mut self) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(300));
        loop {
            look.tick().await;
            self.cluster.as_mut().map_or(Ok(()), Cluster::require_alive)?;
            self.stack.require_alive()?;
        }
    }
}

/// The command that shows operators what runs.
fn operators(checkout: &Checkout, grpc: &str) -> Result<String> {
    /// Where the tool looks by itself.
    const USUAL: &str = "http://127.0.0.1:50051";
    let program = built("previewctl")?;
    let program = program.strip_prefix(checkout.root()).unwrap_or(&program).display();
    let address = if grpc == USUAL {
        String::new()
    } else {
        format!(" --address {grpc}")
    };
    Ok(format!("{program} --secret-file .devstack/secrets{address} stats"))
}

/// This process, the first in the record.
fn own<'a>() -> (&'a str, u32) {
    ("devstack", std::process::id())
}

fn entry(process: &Process) -> (&str, u32) {
    (process.name(), process.id())
}

/// The ways in which a user or `down` asks for the end.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
