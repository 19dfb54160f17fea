//! What our gRPC servers have in common: limits, and a span per call that continues the caller's trace.

use std::time::Duration;

use tonic::{metadata::MetadataMap, transport::Server};

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
