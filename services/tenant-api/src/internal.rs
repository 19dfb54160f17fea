//! The private port's routes behind the internal secret: for operators and tests.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use fault::{Envelope, Fault, codes};
use serde_json::json;
use service::{config::Secret, grpc};

use crate::http::App;

/// The routes below `/internal`.
pub fn routes(app: Arc<App>, secret: Secret) -> Router {
    Router::new()
        .route("/internal/health", get(health))
        .with_state(app)
        .layer(middleware::from_fn_with_state(secret, guard))
}

async fn guard(State(secret): State<Secret>, request: Request, next: Next) -> Response {
    let sent = request
        .headers()
        .get(grpc::SECRET_HEADER)
        .map(axum::http::HeaderValue::as_bytes)
        .unwrap_or_default();
    if grpc::is_equal(sent, secret.reveal().as_bytes()) {
        next.run(request).await
    } else {
        Fault::new(codes::UNAUTHORIZED, "The header X-Internal-Secret is missing or wrong.").into_response()
    }
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (connections, idle) = app.pool.level();
    let database = app.pool.ping().await;
    let status = if database.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Envelope::new(json!({
        "status": if database.is_ok() { "ok" } else { "degraded" },
        "database": if database.is_ok() { "up" } else { "down" },
        "connections": connections,
        "idleConnections": idle,
        "cachedSessions": app.directory.len(),
    }));
    (status, body).into_response()
}
