//! The private port's routes behind the internal secret: for operators and tests.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::SessionToken;
use fault::{Envelope, Fault, codes};
use serde_json::json;
use service::{admin, config::Secret, grpc, telemetry::Registry};

use crate::{
    http::{App, Route, dispatch, session::Admitted},
    tenant::directory,
};

/// The routes below `/internal`.
pub fn routes(app: Arc<App>, secret: Secret, registry: Registry) -> Router {
    Router::new()
        .route("/internal/health", get(health))
        .route("/internal/metrics", admin::metrics(registry))
        .route("/internal/emails/{sessionToken}", get(emails))
        .with_state(app)
        .layer(middleware::from_fn_with_state(secret, guard))
        .layer(middleware::from_fn(service::http::observe))
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

/// The mailbox of a session: parameters and body as at `/api/v1/sandbox/emails`.
async fn emails(
    State(app): State<Arc<App>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
) -> Response {
    let named = parameters.as_ref().ok().and_then(|parameters| parameters.iter().next());
    let token = named.and_then(|(_, token)| token.parse::<SessionToken>().ok());
    let Some(token) = token else {
        return Fault::new(codes::SESSION_NOT_FOUND, "There is no preview with this token.").into_response();
    };
    let token = token.hash();
    let tenant = match app.directory.find(token).await.and_then(directory::ready) {
        Ok(tenant) => tenant,
        Err(fault) => return fault.into_response(),
    };
    let is_mailbox = |route: &&Route| route.resource == "emails" && route.operation == "list";
    let Some(route) = app.routes.iter().find(is_mailbox).cloned() else {
        return Fault::internal("the mailbox has no route").into_response();
    };
    // Whoever calls here is nobody in the session.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove(header::COOKIE);
    request.extensions_mut().insert(Admitted { tenant, token });
    dispatch::serve(app, Arc::new(route), parameters, request).await
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
        "cachedSessions": app.directory.size(),
    }));
    (status, body).into_response()
}
