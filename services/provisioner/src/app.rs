//! The parts of the process, put together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use prometheus::Registry;
use service::{admin, lifecycle::Lifecycle};
use tokio::time::{Instant, sleep};

use crate::{api, config::Config, database::Database, error::Error, metrics::Metrics, migrate, slot::Slots};

/// How long a start waits for PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running process.
pub struct Running {
    /// Where the gRPC interface listens.
    pub grpc: SocketAddr,
    /// Where the private port listens.
    pub admin: SocketAddr,
    /// The slots, for tests.
    pub slots: Arc<Slots>,
}

/// Starts everything. It ends with the lifecycle.
///
/// # Errors
/// In one sentence: what is missing.
pub async fn start(config: &Config, registry: Registry, lifecycle: &Lifecycle) -> anyhow::Result<Running> {
    let database = Database::new(&config.database)?;
    let probe = database.clone();
    let ready = admin::ready(move || {
        let probe = probe.clone();
        async move { reach(&probe).await.map_err(|error| format!("PostgreSQL: {error}")) }
    });
    let admin = admin::serve(
        config.admin,
        admin::routes(registry, ready, lifecycle.clone()),
        lifecycle,
    )
    .await?;
    let listener = admin::listen("the gRPC interface", config.grpc).await?;
    let grpc = listener.local_addr()?;

    wait_for(&database).await?;
    migrate::migrate(&database).await?;
    let slots = Slots::open(database, config.pool.clone(), lifecycle.clone(), Metrics::new())
        .await
        .context("the slots cannot be read")?;
    slots.start();
    api::serve(listener, slots.clone(), config.secret.clone(), lifecycle).await?;
    tracing::info!(%grpc, %admin, "serving");
    Ok(Running { grpc, admin, slots })
}

async fn reach(database: &Database) -> Result<(), Error> {
    database.connection().await?.batch_execute("SELECT").await?;
    Ok(())
}

/// Waits for a server that is starting; an address or a login that is wrong is told at once.
async fn wait_for(database: &Database) -> anyhow::Result<()> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match reach(database).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_away() && Instant::now() < patience => {
                tracing::warn!("waiting for PostgreSQL");
                sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                let mut cause: &dyn std::error::Error = &error;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                return Err(anyhow!("DATABASE_URL: PostgreSQL cannot be used there: {cause}"));
            }
        }
    }
}
