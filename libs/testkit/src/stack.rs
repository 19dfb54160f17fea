//! All processes on a database of their own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use devstack::checkout::Checkout;
use devstack::process::Watchdog;
use devstack::stack::{Options, Ports, Service};
use proto::v1::provisioner_service_client::ProvisionerServiceClient;
use proto::v1::{PoolStatusRequest, PoolStatusResponse};
use serde_json::{Value, json};
use service::config::Secret;
use service::grpc::{Caller, caller};
use tonic::transport::{Channel, Endpoint};

use crate::api::Api;
use crate::database::TestDatabase;

/// A running stack. Dropping it stops all of it and prints the logs, which a test runner shows
/// when the test has failed.
pub struct Stack {
    /// Stopped before the database goes.
    processes: devstack::stack::Stack,
    database: TestDatabase,
    logs: std::path::PathBuf,
}

/// What a stack is to be.
pub struct StackBuilder {
    tenants: usize,
    environment: Vec<(String, String)>,
    private: Option<Vec<(&'static str, &'static str)>>,
}

impl StackBuilder {
    /// That many replicas of the tenant-api.
    #[must_use]
    pub fn tenants(mut self, count: usize) -> Self {
        self.tenants = count;
        self
    }

    /// A variable for all services. Limits that tests would run into are high already, and the
    /// pool's target is 2.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// On a PostgreSQL of its own, which the test may stop, with options of `postgresql.conf`.
    #[must_use]
    pub fn private_postgres(mut self, settings: &[(&'static str, &'static str)]) -> Self {
        self.private = Some(settings.to_vec());
        self
    }

    /// Starts it and waits until all are ready.
    ///
    /// # Errors
    /// When one of the services does not get ready, with the end of its log.
    pub async fn start(self) -> Result<Stack> {
        let mut stack = self.prepare().await?;
        stack.processes.start(|_| ()).await?;
        Ok(stack)
    }

    /// Its database and its addresses are there; nothing is started yet.
    ///
    /// # Errors
    /// When there is no database or no free port.
    pub async fn prepare(self) -> Result<Stack> {
        let database = match &self.private {
            Some(settings) => TestDatabase::private(settings).await?,
            None => TestDatabase::create().await?,
        };
        let logs = Checkout::find()?.folder("log")?.join(database.name());
        let defaults = [
            ("APP_ENV", "test"),
            ("LOG_FORMAT", "pretty"),
            ("POOL_TARGET", "2"),
            ("MAX_SESSIONS_PER_IP", "1000"),
            ("SESSION_CREATE_RATE_PER_HOUR", "100000"),
            ("AUTH_WRITES_PER_MINUTE", "1000"),
        ];
        let defaults = defaults
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let options = Options {
            database: database.database().clone(),
            ports: Ports::Free,
            tenants: self.tenants,
            environment: defaults.chain(self.environment).collect(),
            inherit: false,
            logs: logs.clone(),
            grace: Duration::from_secs(10),
        };
        let processes = devstack::stack::Stack::new(options, &Watchdog::start()?)?;
        Ok(Stack {
            processes,
            database,
            logs,
        })
    }
}

impl Stack {
    /// A stack of one tenant-api on the test run's PostgreSQL, unless told otherwise.
    #[must_use]
    pub fn builder() -> StackBuilder {
        StackBuilder {
            tenants: 1,
            environment: Vec::new(),
            private: None,
        }
    }

    /// Its processes: to stop, kill, pause and start single ones.
    pub fn processes(&mut self) -> &mut devstack::stack::Stack {
        &mut self.processes
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The gateway: paths begin with `/api/preview`.
    ///
    /// # Panics
    /// Never: a stack has an orchestrator.
    #[must_use]
    pub fn gateway(&self) -> Api {
        Api::new(
            &self
                .processes
                .url(Service::Orchestrator)
                .expect("a stack has an orchestrator"),
        )
    }

    /// A replica of the tenant-api, from 0: paths begin with `/api/v1`.
    ///
    /// # Panics
    /// When there is no such replica.
    #[must_use]
    pub fn tenant(&self, number: usize) -> Api {
        Api::new(&self.processes.url(Service::TenantApi(number)).expect("such a replica"))
    }

    /// The private port of a replica of the tenant-api.
    ///
    /// # Panics
    /// When there is no such replica.
    #[must_use]
    pub fn tenant_admin(&self, number: usize) -> Api {
        Api::new(
            &self
                .processes
                .admin_url(Service::TenantApi(number))
                .expect("such a replica"),
        )
    }

    /// Creates a session through the gateway and follows it until it is READY.
    ///
    /// # Errors
    /// When it is refused, fails or takes more than a minute.
    pub async fn session(&self, features: &[&str]) -> Result<Value> {
        let wanted = json!({ "selectedFeatures": features, "tier": "starter" });
        let mut session = self.gateway().post("/api/preview/sessions", &wanted).await?.data(201);
        let token = session["sessionToken"].clone();
        let path = format!("/api/preview/sessions/{}", token.as_str().unwrap_or_default());
        let end = Instant::now() + Duration::from_secs(60);
        while session["schemaStatus"] != "READY" {
            if session["schemaStatus"] == "FAILED" || Instant::now() > end {
                bail!("the session does not get ready: {session}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            session = self.gateway().get(&path).await?.data(200);
        }
        session["sessionToken"] = token;
        Ok(session)
    }

    /// A new session, as the first replica serves it.
    ///
    /// # Errors
    /// As for [`Stack::session`].
    pub async fn visitor(&self, features: &[&str]) -> Result<Api> {
        let session = self.session(features).await?;
        Ok(self
            .tenant(0)
            .session(session["sessionToken"].as_str().unwrap_or_default()))
    }

    /// Waits until the pool holds at least that many ready slots.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub async fn wait_for_pool(&self, ready: u32) -> Result<PoolStatusResponse> {
        let channel = channel(&self.processes.url(Service::Provisioner)?).await?;
        let mut provisioner = ProvisionerServiceClient::with_interceptor(channel, self.caller()?);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let status = provisioner.pool_status(PoolStatusRequest {}).await?.into_inner();
            if status.ready >= ready {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("the pool does not fill: {status:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A channel to the orchestrator's gRPC services.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn grpc(&self) -> Result<Channel> {
        channel(&self.processes.grpc_url()?).await
    }

    /// Where the orchestrator's gRPC services listen, `HOST:PORT`.
    ///
    /// # Errors
    /// Never: a stack has an orchestrator.
    pub fn grpc_address(&self) -> Result<String> {
        Ok(self.processes.grpc_url()?.trim_start_matches("http://").to_owned())
    }

    /// Where the orchestrator's gRPC services listen, as a URL.
    ///
    /// # Errors
    /// Never: a stack has an orchestrator.
    pub fn grpc_url(&self) -> Result<String> {
        self.processes.grpc_url()
    }

    /// The internal secret of its processes.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.database.secrets().get("INTERNAL_API_SECRET")
    }

    /// Adds the internal secret to calls: for `Client::with_interceptor`.
    ///
    /// # Errors
    /// When the secret cannot stand in a header.
    pub fn caller(&self) -> Result<Caller> {
        caller(&Secret::new(self.secret()))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for process in self.processes.processes() {
            let lines = process.last_lines(25);
            eprintln!("---- the end of the log of {} ----\n{lines}", process.name());
        }
        let _ = std::fs::remove_dir_all(&self.logs);
    }
}

async fn channel(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .connect_timeout(Duration::from_secs(5))
        .connect()
        .await?)
}
