//! Puts the process together: the one place where its parts meet.

use std::{sync::Arc, time::Duration};

use domain::Clock;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use service::{admin, lifecycle::Lifecycle, telemetry::Telemetry};
use tokio::net::TcpListener;

use crate::{
    config::Config,
    http::App,
    internal,
    modules::Served,
    tenant::{directory, directory::Directory},
};

/// How long a client may take for the head of a request; slower ones would hold connections.
const HEAD: Duration = Duration::from_secs(10);
/// The largest head of a request.
const HEAD_BYTES: usize = 32 * 1024;

/// A running tenant-api.
pub struct Server {
    app: Arc<App>,
}

/// Starts to serve.
///
/// # Errors
/// When an address cannot be listened on, or a setting cannot be used.
pub async fn start(config: &Config, telemetry: &Telemetry, lifecycle: &Lifecycle) -> anyhow::Result<Server> {
    let clock = Clock::system();
    let client = directory::connect(&config.orchestrator, &config.orchestrator_tls, &config.internal_secret)?;
    let directory = Directory::new(client.clone(), config.tenant_cache, clock.clone());
    let app = App::build(config, Served::all(), directory.clone(), lifecycle, clock)?;
    let router = app.router(config)?;

    let listener = admin::listen("tenant-api", config.http).await?;
    let ready = {
        let app = Arc::clone(&app);
        admin::ready(move || {
            let app = Arc::clone(&app);
            async move {
                app.pool
                    .ping()
                    .await
                    .map_err(|error| format!("the database does not answer: {error}"))
            }
        })
    };
    let private = admin::routes(telemetry.registry(), ready, lifecycle.clone())
        .merge(internal::routes(Arc::clone(&app), config.internal_secret.clone()));
    admin::serve(config.admin, private, lifecycle).await?;
    let (follower, following) = (directory.clone(), lifecycle.clone());
    lifecycle.spawn(async move { follower.follow(&following).await });
    let (reporter, reporting) = (Arc::clone(&app), lifecycle.clone());
    lifecycle.spawn(async move { reporter.activity.run(&client, &reporting).await });
    let (tidier, tidying) = (Arc::clone(&app), lifecycle.clone());
    lifecycle.spawn(async move {
        while !tidying.is_stopping() {
            tokio::select! {
                () = tidying.clone().stopping() => return,
                () = tokio::time::sleep(Duration::from_secs(60)) => tidier.rates.tidy(),
            }
        }
    });
    let (serving, address) = (lifecycle.clone(), listener.local_addr()?);
    lifecycle.spawn(async move { accept(listener, router, serving).await });
    tracing::info!(%address, "tenant-api serves the application");
    Ok(Server { app })
}

impl Server {
    /// Closes what is left after the drain.
    pub async fn close(self) {
        self.app.pool.close().await;
    }
}

/// Accepts connections until the process stops, then lets those that are open finish their request.
async fn accept(listener: TcpListener, router: axum::Router, lifecycle: Lifecycle) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    let graceful = hyper_util::server::graceful::GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, say: wait for some to come back.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = lifecycle.clone().stopping() => break,
        };
        let _ = stream.set_nodelay(true);
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let watched = graceful.watch(connection.into_owned());
        lifecycle.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
