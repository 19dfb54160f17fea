//! What HTTP servers share: request ids, the span of a request, a server with limits, and the page that documents it.

pub mod body;
mod cached;
pub mod docs;
mod serve;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use fault::{Fault, codes};
use opentelemetry::{global, propagation::Extractor, trace::TraceContextExt};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use cached::Cached;
pub use serve::{MOST_CONNECTIONS, serve};

/// The header with the id of a request, sent back with every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest path with its query, in bytes.
const LONGEST_ADDRESS: usize = 4096;
/// The longest id that is taken over from the caller.
const LONGEST_ID: usize = 64;

/// The id of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Gives every request an id (the caller's, when it is a sensible one) and a span that continues the caller's trace.
/// The path is not recorded: it may carry a token.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let span = tracing::info_span!(
        "http",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
        session.id = tracing::field::Empty,
        request.id = %id,
    );
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
    let _ = span.set_parent(context);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Refuses addresses that are too long (contract README section 9).
pub async fn bound_address(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if length > LONGEST_ADDRESS {
        let message = format!("The address is longer than {LONGEST_ADDRESS} bytes.");
        return Fault::new(codes::PAYLOAD_TOO_LARGE, message).into_response();
    }
    next.run(request).await
}

/// Names the present span after the route, once that is known. A span that was entered takes no other `otel.name`, so
/// that its exported name is changed too.
pub fn name(name: &str) {
    let span = tracing::Span::current();
    span.record("otel.name", name);
    span.context().span().update_name(name.to_owned());
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
