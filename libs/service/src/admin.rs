//! The private port: is the process alive, is it ready, what are its figures.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use prometheus::Registry;
use tokio::net::TcpListener;

use crate::{lifecycle::Lifecycle, telemetry};

/// Tells what is missing before the process can serve; `Ok` when nothing is.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Makes a readiness check of an async function.
pub fn ready<F, R>(check: F) -> Ready
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move || Box::pin(check()))
}

#[derive(Clone)]
struct Admin {
    ready: Ready,
    lifecycle: Lifecycle,
}

/// The routes `/livez`, `/readyz` and `/metrics`.
pub fn routes(registry: Registry, ready: Ready, lifecycle: Lifecycle) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", metrics(registry))
        .with_state(Admin { ready, lifecycle })
}

/// What answers with the figures, as text for Prometheus.
pub fn metrics<S: Clone + Send + Sync + 'static>(registry: Registry) -> MethodRouter<S> {
    get(async move || {
        (
            [("content-type", "text/plain; version=0.0.4")],
            telemetry::render(&registry),
        )
    })
}

/// Serves routes on the private port until the process is gone: while others drain, `/readyz` says that it stops.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, routes: Router, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let listener = listen("the private port", address).await?;
    let local = listener.local_addr()?;
    lifecycle.spawn_to_the_end(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(error = %fault::chain(&error), "the private port failed");
        }
    });
    Ok(local)
}

/// Listens on an address, with a sentence that helps when that fails.
///
/// # Errors
/// When the address is in use, say.
pub async fn listen(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "{what} cannot listen on {address}: the port is in use; stop its owner or choose another address"
            )
        }
        _ => anyhow::anyhow!("{what} cannot listen on {address}: {error}"),
    })
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.lifecycle.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match (admin.ready)().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
    }
}
