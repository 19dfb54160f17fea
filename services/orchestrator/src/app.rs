//! The composition root: parts are made, wired and started here.

use std::{net::SocketAddr, time::Duration};

use domain::Clock;
use prometheus::Registry;
use service::{
    admin::{self, listen, ready},
    lifecycle::Lifecycle,
};

use crate::{
    api,
    config::Config,
    database::{self, Trouble},
    metrics::Metrics,
    provisioner::Provisioner,
    session::{Sessions, changes::Changes, reconcile::Reconciler, steps::Parts, store::Store},
};

/// A running orchestrator.
pub struct Orchestrator {
    /// Where the REST gateway listens.
    pub http: SocketAddr,
    /// Where the gRPC services listen.
    pub grpc: SocketAddr,
    /// The private port.
    pub admin: SocketAddr,
    /// Its sessions.
    pub sessions: Sessions,
    /// Its reconciler, which works once it is run.
    pub reconciler: Reconciler,
}

/// How long a start waits for a database that is away.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// Starts everything but the reconciler; it runs until `lifecycle` stops.
///
/// # Errors
/// A port is in use, the database refuses, or stays away for 30 s.
pub async fn start(
    config: Config,
    clock: Clock,
    registry: Registry,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Orchestrator> {
    let http = listen("the REST gateway", config.http).await?;
    let grpc = listen("the gRPC services", config.grpc).await?;
    let pool = config.database.pool()?;
    let store = Store::new(pool.clone(), config.replica.clone());

    let (probe, health) = tokio::sync::watch::channel(false);
    let checked = store.clone();
    let is_ready = ready(move || {
        let (store, migrated) = (checked.clone(), *health.borrow());
        async move {
            if !migrated {
                return Err("the control database is not migrated yet".to_owned());
            }
            store.ping().await.map_err(|error| error.to_string())
        }
    });
    let routes = admin::routes(registry, is_ready, lifecycle.clone());
    let admin = admin::serve(config.admin, routes, lifecycle).await?;

    migrate(&pool).await?;
    probe.send_replace(true);

    let changes = Changes::new();
    lifecycle.spawn(changes.clone().listen(config.database.connection()?, lifecycle.clone()));
    let sessions = Sessions::new(Parts {
        store,
        provisioner: Provisioner::at(&config.provisioner_url, &config.provisioner_tls, &config.secret)?,
        policy: config.policy,
        started: clock.now(),
        clock,
        secret: config.secret.clone(),
        lifecycle: lifecycle.clone(),
        changes,
        metrics: Metrics::new(),
    });
    let reconciler = Reconciler::new(sessions.clone(), config.reconcile_interval);
    let addresses = (http.local_addr()?, grpc.local_addr()?);
    let rest = api::rest::routes(sessions.clone(), config.rest.clone());
    service::http::serve(http, rest, lifecycle);
    let door = api::grpc::Opening {
        secret: config.secret,
        tls: config.tls,
    };
    api::grpc::serve(grpc, sessions.clone(), config.rest, door, lifecycle).await?;
    let (http, grpc) = addresses;
    tracing::info!(%http, %grpc, %admin, "the orchestrator is ready");
    Ok(Orchestrator {
        http,
        grpc,
        admin,
        sessions,
        reconciler,
    })
}

/// Migrates, and waits a little for a database that is just starting.
async fn migrate(pool: &deadpool_postgres::Pool) -> anyhow::Result<()> {
    let until = tokio::time::Instant::now() + DATABASE_PATIENCE;
    loop {
        match database::migrate(pool).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_passing() && tokio::time::Instant::now() < until => {
                tracing::warn!(cause = cause(error), "waiting for the control database");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => anyhow::bail!(
                "{}; check CONTROL_DATABASE_URL or DATABASE_URL, and that `provisioner install` has run",
                cause(error)
            ),
        }
    }
}

/// The error with its sources in one line.
fn cause(error: Trouble) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
