//! The services as processes of their own, on one database.

mod addresses;
mod database;
mod service;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use addresses::{Addresses, Endpoint};
pub use database::Database;
pub use service::Service;

use crate::checkout::built;
use crate::environment;
use crate::http::Client;
use crate::process::{Manners, Process, Signal, Watchdog};

/// How long a service may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Which addresses to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Those of the contract, unless the environment says otherwise.
    Default,
    /// Any that are free.
    Free,
}

/// What a stack is to be.
pub struct Options {
    /// Where its data are.
    pub database: Database,
    /// Where it listens.
    pub ports: Ports,
    /// How many replicas of the tenant-api.
    pub tenants: usize,
    /// Variables for all services, beside what the stack tells them itself.
    pub environment: Vec<(String, String)>,
    /// Whether the services see the caller's environment too.
    pub inherit: bool,
    /// Where each service's log goes.
    pub logs: PathBuf,
    /// How long a service may drain before it is killed.
    pub grace: Duration,
}

/// Running services. Dropping it stops them.
pub struct Stack {
    options: Options,
    watchdog: Watchdog,
    addresses: BTreeMap<Service, Addresses>,
    /// Variables of single services.
    told: Vec<(Service, String, String)>,
    /// Those that run or have died by themselves.
    running: BTreeMap<Service, Process>,
    client: Client,
}

impl Stack {
    /// Chooses addresses; starts nothing yet.
    ///
    /// # Errors
    /// When a port is taken or an address in the environment is none.
    pub fn new(options: Options, watchdog: &Watchdog) -> Result<Self> {
        let tenants = (0..options.tenants).map(Service::TenantApi);
        let services = [Service::Provisioner, Service::Orchestrator].into_iter().chain(tenants);
        let mut addresses = BTreeMap::new();
        for service in services {
            let chosen = match options.ports {
                Ports::Free => Addresses::free(service)?,
                Ports::Default => Addresses::default(service)?,
            };
            chosen.require_free(&service.to_string())?;
            addresses.insert(service, chosen);
        }
        fs::create_dir_all(&options.logs).with_context(|| format!("{} cannot be made", options.logs.display()))?;
        let client = Client::new(Duration::from_secs(5));
        Ok(Self {
            options,
            watchdog: watchdog.clone(),
            addresses,
            told: Vec::new(),
            running: BTreeMap::new(),
            client,
        })
    }

    /// Adds a service on free ports; it is started with the others, or by [`Stack::spawn`].
    ///
    /// # Errors
    /// When no port is free.
    pub fn add(&mut self, service: Service) -> Result<()> {
        self.addresses.insert(service, Addresses::free(service)?);
        Ok(())
    }

    /// Sets a variable of one service, from its next start on.
    pub fn tell(&mut self, service: Service, name: &str, value: &impl ToString) {
        self.told.push((service, name.to_owned(), value.to_string()));
    }

    /// Prepares the database and starts all services; `progress` hears of each step. Returns when
    /// all are ready.
    ///
    /// # Errors
    /// When one stops early, with the end of its log, or does not get ready in time.
    pub async fn start(&mut self, progress: impl Fn(&str)) -> Result<()> {
        let start = Instant::now();
        self.options.database.install().await?;
        progress(&format!(
            "database {} prepared ({:.1?})",
            self.options.database.name(),
            start.elapsed()
        ));
        let services: Vec<_> = self.addresses.keys().copied().collect();
        for &service in &services {
            self.spawn(service)?;
        }
        for service in services {
            self.wait_ready(service).await?;
            progress(&format!("{service} ready ({:.1?})", start.elapsed()));
        }
        Ok(())
    }

    /// Starts one service that does not run. Does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self, service: Service) -> Result<()> {
        let mut command = Command::new(built(service.program())?);
        if !self.options.inherit {
            command
                .env_clear()
                .env("PATH", environment::raw("PATH").unwrap_or_default())
                .env("RUST_BACKTRACE", "1");
        }
        let told = self.environment(service)?;
        let own = self.told.iter().filter(|(told, ..)| *told == service);
        command
            .envs(told)
            .envs(self.options.environment.iter().cloned())
            .envs(own.map(|(_, name, value)| (name, value)));
        let log = self.options.logs.join(format!("{service}.log"));
        let manners = Manners {
            signal: Signal::TERM,
            grace: self.options.grace,
        };
        let process = Process::spawn(&service.to_string(), command, &log, manners, &self.watchdog)?;
        self.running.insert(service, process);
        Ok(())
    }

    /// Waits until a started service says that it is ready.
    ///
    /// # Errors
    /// When it stops before, or takes more than a minute.
    pub async fn wait_ready(&mut self, service: Service) -> Result<()> {
        let url = format!("http://{}/readyz", self.addresses(service)?.admin.address);
        let end = Instant::now() + READY_LIMIT;
        loop {
            let process = self.process(service)?;
            process.require_alive()?;
            let said = match self.client.get(&url).await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => answer.text(),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > end {
                let process = self.process(service)?;
                bail!(
                    "{service} is not ready after {READY_LIMIT:?} ({}); the end of {}:\n{}",
                    said.trim(),
                    process.log().display(),
                    process.last_lines(12)
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops one service and forgets it; it can be started again on the same addresses.
    ///
    /// # Errors
    /// When it is not started.
    pub fn stop(&mut self, service: Service) -> Result<()> {
        self.process(service)?.stop();
        self.running.remove(&service);
        Ok(())
    }

    /// Kills one service and forgets it.
    ///
    /// # Errors
    /// When it is not started.
    pub fn kill(&mut self, service: Service) -> Result<()> {
        self.process(service)?.kill();
        self.running.remove(&service);
        Ok(())
    }

    /// The process of a service that was started.
    ///
    /// # Errors
    /// When it is not started.
    pub fn process(&mut self, service: Service) -> Result<&mut Process> {
        self.running
            .get_mut(&service)
            .with_context(|| format!("{service} is not started"))
    }

    /// All processes that were started.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.running.values()
    }

    /// Fails with the end of its log when one has stopped by itself.
    ///
    /// # Errors
    /// That.
    pub fn require_alive(&mut self) -> Result<()> {
        self.running.values_mut().try_for_each(Process::require_alive)
    }

    /// Where a service listens.
    ///
    /// # Errors
    /// When the stack has no such service.
    pub fn addresses(&self, service: Service) -> Result<&Addresses> {
        self.addresses
            .get(&service)
            .with_context(|| format!("there is no {service} in this stack"))
    }

    /// The address of the first public endpoint of a service, as a URL.
    ///
    /// # Errors
    /// As for [`Stack::addresses`].
    pub fn url(&self, service: Service) -> Result<String> {
        Ok(format!("http://{}", self.addresses(service)?.public[0].address))
    }

    /// The address of a service's private port, as a URL.
    ///
    /// # Errors
    /// As for [`Stack::addresses`].
    pub fn admin_url(&self, service: Service) -> Result<String> {
        Ok(format!("http://{}", self.addresses(service)?.admin.address))
    }

    /// The address of the orchestrator's gRPC services, as a URL.
    ///
    /// # Errors
    /// As for [`Stack::addresses`].
    pub fn grpc_url(&self) -> Result<String> {
        let address = self.addresses(Service::Orchestrator)?.public[1].address;
        Ok(format!("{}://{address}", self.grpc_scheme()))
    }

    /// What gRPC is spoken over: TLS when the services are given a certificate.
    fn grpc_scheme(&self) -> &'static str {
        const CERTIFICATE: &str = "GRPC_TLS_CERT_FILE";
        let told = self.options.environment.iter().any(|(name, _)| name == CERTIFICATE);
        if told || self.options.inherit && environment::variable(CERTIFICATE).is_some() {
            "https"
        } else {
            "http"
        }
    }

    /// How many replicas of the tenant-api it has.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.options.tenants
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.options.database
    }

    /// What the stack itself tells a service.
    fn environment(&self, service: Service) -> Result<Vec<(String, String)>> {
        let database = &self.options.database;
        let own = self.addresses(service)?;
        let mut told: Vec<(String, String)> = own
            .public
            .iter()
            .chain([&own.admin])
            .map(|endpoint| (endpoint.variable.to_owned(), endpoint.address.to_string()))
            .collect();
        let mut tell = |name: &str, value: &str| told.push((name.to_owned(), value.to_owned()));
        tell("DATABASE_URL", database.url_as(service.login())?.as_str());
        tell("INTERNAL_API_SECRET", database.secrets().get("INTERNAL_API_SECRET"));
        // Whoever sets the variable decides for all services alike.
        if !self.options.inherit || environment::raw("DB_POOL_SIZE").is_none() {
            tell("DB_POOL_SIZE", &service.connections().to_string());
        }
        tell(
            "SHUTDOWN_GRACE_SECONDS",
            &self.options.grace.as_secs().max(1).to_string(),
        );
        match service {
            Service::Provisioner | Service::SecondProvisioner => {}
            Service::Orchestrator | Service::SecondOrchestrator => {
                tell("CONTROL_DATABASE_URL", database.url_as(service.login())?.as_str());
                let provisioner = self.addresses(Service::Provisioner)?.public[0].address;
                tell("PROVISIONER_URL", &format!("{}://{provisioner}", self.grpc_scheme()));
            }
            Service::TenantApi(_) => {
                tell("ORCHESTRATOR_URL", &self.grpc_url()?);
                tell("JWT_SECRET", database.secrets().get("JWT_SECRET"));
            }
        }
        Ok(told)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // All at once: the slowest decides how long it takes.
        for process in self.running.values_mut() {
            process.signal(Signal::CONT);
            process.ask_to_stop();
        }
    }
}
