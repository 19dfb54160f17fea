//! Puts the process together: the one place where its parts meet.

use std::{sync::Arc, time::Duration};

use domain::Clock;
use service::{admin, lifecycle::Lifecycle, telemetry::Telemetry};

use crate::{
    config::Config,
    http::App,
    internal,
    modules::Served,
    tenant::{directory, directory::Directory},
};

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
    let private = admin::routes(telemetry.registry(), ready, lifecycle.clone()).merge(internal::routes(
        Arc::clone(&app),
        config.internal_secret.clone(),
        telemetry.registry(),
    ));
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
                () = tokio::time::sleep(Duration::from_secs(60)) => {
                    tidier.rates.tidy();
                    tidier.turns.tidy();
                }
            }
        }
    });
    let address = listener.local_addr()?;
    service::http::serve(listener, router, lifecycle);
    tracing::info!(%address, "tenant-api serves the application");
    Ok(Server { app })
}

impl Server {
    /// Closes what is left after the drain.
    pub async fn close(&self) {
        self.app.pool.close().await;
    }
}
