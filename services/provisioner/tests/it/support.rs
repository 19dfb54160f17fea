//! A provisioner in the test's process, on a database of its own.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use domain::{Clock, SchemaName, SessionId};
use proto::v1::{
    DropSchemaRequest, PoolStatusRequest, PoolStatusResponse, ProvisionSchemaRequest, ProvisionSchemaResponse,
    provisioner_service_client::ProvisionerServiceClient,
};
use provisioner::{
    app::{self, Running},
    config::Config,
    install,
};
use service::{
    config::{self, Reader, Secret},
    grpc,
    lifecycle::Lifecycle,
};
use testkit::TestDatabase;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, types::ToSql};
use tonic::{Status, service::interceptor::InterceptedService, transport::Channel};

/// More than anything takes here; reached only when something is wrong.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const SECRET: &str = "a-secret-for-tests-of-the-provisioner";

pub type Calls = ProvisionerServiceClient<InterceptedService<Channel, grpc::Caller>>;

/// A database with everything that `install` makes.
pub async fn database() -> Result<TestDatabase> {
    let database = TestDatabase::create().await?;
    install::install(&installation(&database)).await?;
    Ok(database)
}

pub fn installation(database: &TestDatabase) -> install::Config {
    let password = |name| Some(Secret::new(database.secrets().get(name)));
    install::Config {
        url: Secret::new(database.url()),
        orchestrator: password("ORCHESTRATOR_DB_PASSWORD"),
        provisioner: password("PROVISIONER_DB_PASSWORD"),
        tenant: password("TENANT_DB_PASSWORD"),
    }
}

/// One running replica. Dropping it stops it as SIGTERM does, without waiting.
pub struct Replica {
    pub running: Running,
    pub lifecycle: Lifecycle,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

pub fn config(database: &TestDatabase, settings: &[(&str, &str)]) -> Result<Config> {
    let url = database.url_as("provisioner")?;
    let base = [
        ("APP_ENV", "test"),
        ("PROVISIONER_GRPC_ADDR", "127.0.0.1:0"),
        ("PROVISIONER_ADMIN_ADDR", "127.0.0.1:0"),
        ("INTERNAL_API_SECRET", SECRET),
        ("POOL_TARGET", "0"),
        ("POOL_FRESH_SECONDS", "0"),
        ("POOL_WAIT_SECONDS", "60"),
        ("DATABASE_URL", url.as_str()),
    ];
    let values = base.iter().chain(settings).copied();
    Ok(config::read(Reader::over(values), Config::read)?)
}

impl Replica {
    pub async fn start(database: &TestDatabase, settings: &[(&str, &str)]) -> Result<Self> {
        let lifecycle = Lifecycle::new();
        let config = config(database, settings)?;
        let running = app::start(&config, prometheus::Registry::new(), &lifecycle).await?;
        Ok(Self { running, lifecycle })
    }

    /// A replica whose pool is full.
    pub async fn filled(database: &TestDatabase, target: u32) -> Result<Self> {
        Self::filled_with(database, target, &[]).await
    }

    /// The same with settings.
    pub async fn filled_with(database: &TestDatabase, target: u32, settings: &[(&str, &str)]) -> Result<Self> {
        let number = target.to_string();
        let settings = [settings, &[("POOL_TARGET", number.as_str())]].concat();
        let replica = Self::start(database, &settings).await?;
        replica
            .wait("the pool is full", |pool| pool.ready >= target && pool.preparing == 0)
            .await?;
        Ok(replica)
    }

    pub fn calls(&self) -> Result<Calls> {
        let channel = grpc::channel(&format!("http://{}", self.running.grpc))?;
        Ok(ProvisionerServiceClient::with_interceptor(
            channel,
            grpc::caller(&Secret::new(SECRET))?,
        ))
    }

    pub async fn provision(&self, session: SessionId, modules: &[&str]) -> Result<ProvisionSchemaResponse, Status> {
        let mut calls = self.calls().map_err(|error| Status::internal(error.to_string()))?;
        let request = ProvisionSchemaRequest {
            session_id: session.to_string(),
            modules: modules.iter().map(ToString::to_string).collect(),
            currency: "USD".into(),
            ..ProvisionSchemaRequest::default()
        };
        Ok(calls.provision_schema(request).await?.into_inner())
    }

    pub async fn drop_schema(&self, session: SessionId) -> Result<bool> {
        let request = DropSchemaRequest {
            session_id: session.to_string(),
            before_generation: None,
        };
        Ok(self.calls()?.drop_schema(request).await?.into_inner().existed)
    }

    pub async fn pool(&self) -> Result<PoolStatusResponse> {
        Ok(self.calls()?.pool_status(PoolStatusRequest {}).await?.into_inner())
    }

    /// Waits until the pool is as described.
    pub async fn wait(&self, what: &str, holds: impl Fn(&PoolStatusResponse) -> bool) -> Result<PoolStatusResponse> {
        let patience = Instant::now() + LIMIT;
        loop {
            let pool = self.pool().await?;
            if holds(&pool) {
                return Ok(pool);
            }
            if Instant::now() > patience {
                bail!("{what}: not within {LIMIT:?}; {pool:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

pub fn session() -> SessionId {
    SessionId::new(Clock::system().now())
}

/// Waits until a condition of the database holds.
pub async fn until(what: &str, client: &Client, condition: &str, params: &[&(dyn ToSql + Sync)]) -> Result<()> {
    let patience = Instant::now() + LIMIT;
    while !client
        .query_one(condition, params)
        .await
        .context(what.to_owned())?
        .get::<_, bool>(0)
    {
        if Instant::now() > patience {
            bail!("{what}: not within {LIMIT:?}");
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until somebody waits for a lock in the database.
pub async fn until_blocked(client: &Client) -> Result<()> {
    until(
        "somebody waits for a lock",
        client,
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT granted AND datname = current_database())",
        &[],
    )
    .await
}

/// One value.
pub async fn value<T>(client: &Client, query: &str) -> Result<T>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    Ok(client.query_one(query, &[]).await.context(query.to_owned())?.get(0))
}

/// Whether the schema exists.
pub async fn exists(client: &Client, schema: &str) -> Result<bool> {
    let row = client
        .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
        .await?;
    Ok(row.get(0))
}

/// The schema of a session.
pub fn schema(session: SessionId) -> String {
    SchemaName::of(session).to_string()
}

/// Runs futures at once.
pub async fn together<F, T>(work: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures::future::join_all(work).await
}

/// The world matches the records: each record's schema exists, with all tables, and no schema of ours is unknown.
pub async fn assert_in_order(client: &Client) -> Result<()> {
    let wrong: i64 = value(
        client,
        "SELECT count(*) FROM provisioner.slots s
         WHERE state <> 'empty' AND state <> 'preparing' AND NOT discard AND
            (SELECT count(*) FROM pg_tables WHERE schemaname = schema_name) <> 85",
    )
    .await?;
    let orphans: Vec<String> = value(
        client,
        "SELECT coalesce(array_agg(nspname::text), '{}') FROM pg_namespace
         WHERE nspname ~ '^(slot|gone|preview)_' AND nspname NOT IN (
            SELECT schema_name FROM provisioner.slots WHERE schema_name IS NOT NULL)",
    )
    .await?;
    assert_eq!(
        (wrong, orphans),
        (0, vec![]),
        "records without their tables, schemas without a record"
    );
    Ok(())
}
