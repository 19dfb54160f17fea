//! The REST gateway, `/api/preview`.

mod body;
mod catalog;
pub mod docs;
mod events;
mod extract;
mod sessions;
mod view;

pub(crate) use view::preview_url;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fault::{Fault, codes};
use service::http::REQUEST_ID;
use tokio::time::Instant;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

use crate::{config, session::Sessions};

/// What handlers share.
#[derive(Clone)]
pub struct Gateway {
    sessions: Sessions,
    config: Arc<config::Rest>,
    seats: events::Seats,
}

/// A route and what its spans are called.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// `http.<module>.<resource>.<verb>`.
    pub span: &'static str,
}

const fn route(method: &'static str, path: &'static str, span: &'static str) -> Route {
    Route { method, path, span }
}

/// All routes of the gateway.
pub const ROUTES: [Route; 11] = [
    route("POST", "/api/preview/sessions", "http.preview.sessions.create"),
    route("GET", "/api/preview/sessions/{token}", "http.preview.sessions.show"),
    route("PATCH", "/api/preview/sessions/{token}", "http.preview.sessions.update"),
    route(
        "DELETE",
        "/api/preview/sessions/{token}",
        "http.preview.sessions.delete",
    ),
    route(
        "GET",
        "/api/preview/sessions/{token}/status",
        "http.preview.sessions.status",
    ),
    route(
        "POST",
        "/api/preview/sessions/{token}/extend",
        "http.preview.sessions.extend",
    ),
    route(
        "POST",
        "/api/preview/sessions/{token}/restart",
        "http.preview.sessions.restart",
    ),
    route(
        "GET",
        "/api/preview/sessions/{token}/events",
        "http.preview.events.follow",
    ),
    route("GET", "/api/preview/catalog", "http.preview.catalog.show"),
    route("GET", "/api/preview/openapi.json", "http.preview.openapi.show"),
    route("GET", "/api/preview/docs", "http.preview.docs.show"),
];

/// The gateway's routes with everything around them.
pub fn routes(sessions: Sessions, config: config::Rest) -> Router {
    let cors = cors(&config);
    let gateway = Gateway {
        sessions,
        config: Arc::new(config),
        seats: events::Seats::default(),
    };
    Router::new()
        .route("/api/preview/sessions", post(sessions::create))
        .route(
            "/api/preview/sessions/{token}",
            get(sessions::show).patch(sessions::update).delete(sessions::delete),
        )
        .route("/api/preview/sessions/{token}/status", get(sessions::status))
        .route("/api/preview/sessions/{token}/extend", post(sessions::extend))
        .route("/api/preview/sessions/{token}/restart", post(sessions::restart))
        .route("/api/preview/sessions/{token}/events", get(events::follow))
        .route("/api/preview/catalog", get(catalog::show))
        .route("/api/preview/openapi.json", get(docs::document))
        .route("/api/preview/docs", get(service::http::docs::page))
        .method_not_allowed_fallback(async || {
            Fault::new(codes::METHOD_NOT_ALLOWED, "This address does not have this method.")
        })
        .route_layer(from_fn_with_state(gateway.clone(), name))
        .fallback(async || Fault::not_found())
        .with_state(gateway)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Fault::internal("a handler panicked").into_response()
        }))
        .layer(from_fn(service::http::bound_address))
        .layer(cors)
        .layer(from_fn(harden))
        .layer(from_fn(service::http::observe))
}

/// Exactly the configured origins may call from a browser.
fn cors(config: &config::Rest) -> CorsLayer {
    let origins: Vec<HeaderValue> = config
        .origins
        .0
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            REQUEST_ID,
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("tracestate"),
        ])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER, header::LOCATION, header::ETAG])
        .max_age(Duration::from_secs(600))
}

/// Names the span by its route and counts the request. The address itself carries the token and is never recorded.
async fn name(State(gateway): State<Gateway>, path: MatchedPath, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    tracing::Span::current().record("http.route", path.as_str());
    if let Some(route) = ROUTES
        .iter()
        .find(|route| route.path == path.as_str() && route.method == method.as_str())
    {
        service::http::name(route.span);
    }
    let response = next.run(request).await;
    let label = format!("{method} {}", path.as_str());
    gateway
        .sessions
        .metrics()
        .requested(&label, response.status().as_u16(), started.elapsed());
    response
}

/// Answers are private to their caller and are what they say they are.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
