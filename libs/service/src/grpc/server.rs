//! What our gRPC servers have in common: limits, and a span per call that continues the caller's trace.

use std::time::Duration;

use fault::{Fault, codes};
use http::Response;
use tonic::{Code, Status, body::Body, metadata::MetadataMap, transport::Server};
use tower::util::MapResponseLayer;

use super::adopt;

/// Most bytes of one message that a server takes.
pub const MOST_MESSAGE_BYTES: usize = 256 * 1024;

/// A server with bounds on what one connection may ask for. Add `.trace_fn(service::grpc::span)` and services.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .max_concurrent_streams(1_024)
}

/// Gives what tonic itself refuses (no such call, a message that is too large or cannot be read) a code of ours. For
/// `Server::layer`.
#[must_use]
pub fn reasons() -> MapResponseLayer<fn(Response<Body>) -> Response<Body>> {
    MapResponseLayer::new(|response| match Status::from_header_map(response.headers()) {
        // What we refuse has one already.
        Some(status) if status.details().is_empty() => match reason(&status) {
            Some(fault) => Status::from(fault).into_http(),
            None => response,
        },
        _ => response,
    })
}

fn reason(status: &Status) -> Option<Fault> {
    let (code, message) = match status.code() {
        Code::Unimplemented => (codes::METHOD_NOT_ALLOWED, "There is no such call."),
        Code::OutOfRange => (codes::PAYLOAD_TOO_LARGE, "The message is too large."),
        Code::Internal => (codes::BAD_REQUEST, "The message cannot be read."),
        _ => return None,
    };
    Some(Fault::new(code, message))
}

/// The span of a call: `rpc.<service>.<method>`, child of the caller's trace.
pub fn span(request: &http::Request<()>) -> tracing::Span {
    let mut parts = request.uri().path().rsplit('/');
    let method = parts.next().unwrap_or_default();
    let service = parts
        .next()
        .and_then(|name| name.rsplit('.').next())
        .unwrap_or_default();
    let span = tracing::info_span!(
        "rpc",
        otel.name = format!("rpc.{service}.{method}"),
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        session.id = tracing::field::Empty,
    );
    adopt(&span, &MetadataMap::from_headers(request.headers().clone()));
    span
}
