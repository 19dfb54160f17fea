//! The parts of the process, put together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus::Registry;
use service::{admin, lifecycle::Lifecycle};
use tokio::time::{Instant, sleep};

use crate::{
    api,
    config::Config,
    database::Database,
    error::{Error, is_lost},
    metrics::Metrics,
    migrate,
    slot::Slots,
};

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

    let slots = open(&database, config, lifecycle).await?;
    slots.start();
    api::serve(listener, slots.clone(), config, lifecycle).await?;
    tracing::info!(%grpc, %admin, "serving");
    Ok(Running { grpc, admin, slots })
}

async fn reach(database: &Database) -> Result<(), Error> {
    database.connection().await?.batch_execute("SELECT").await?;
    Ok(())
}

/// Migrates, and opens the slots. A server that is starting, or goes away meanwhile, is waited for; an address or a
/// login that is wrong is told at once.
async fn open(database: &Database, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Arc<Slots>> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let opened = async {
            reach(database)
                .await
                .context("DATABASE_URL: PostgreSQL cannot be used there")?;
            migrate::migrate(database).await?;
            let slots = Slots::open(database.clone(), config.pool.clone(), lifecycle.clone(), Metrics::new());
            slots.await.context("the slots cannot be read")
        };
        match opened.await {
            Err(error) if is_away(&error) && Instant::now() < patience => {
                tracing::warn!(cause = format!("{error:#}"), "waiting for PostgreSQL");
                sleep(Duration::from_millis(250)).await;
            }
            opened => return opened,
        }
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<Error>().is_some_and(Error::is_away)
            || cause.downcast_ref::<tokio_postgres::Error>().is_some_and(is_lost)
    })
}
