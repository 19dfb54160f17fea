//! A collector of traces in the test's own process.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::any_value::Value,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A span with the name of the process that it comes from.
#[derive(Clone, Debug)]
pub struct Span {
    /// The process.
    pub service: String,
    /// What was done.
    pub name: String,
    /// Which trace.
    pub trace: Vec<u8>,
    /// Itself.
    pub id: Vec<u8>,
    /// Within which span; empty at the top.
    pub parent: Vec<u8>,
    /// All that it tells, in one text.
    pub text: String,
}

/// What has arrived. Clones share it.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Listens; ends with `tasks`.
    pub async fn start(tasks: &mut JoinSet<()>) -> Result<(Self, SocketAddr)> {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn(async move {
            let _ = server.await;
        });
        Ok((collector, address))
    }

    fn spans(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All spans so far.
    pub fn all(&self) -> Vec<Span> {
        self.spans().clone()
    }

    /// The spans of a trace so far.
    pub fn of(&self, trace: &[u8]) -> Vec<Span> {
        self.spans()
            .iter()
            .filter(|span| span.trace == trace)
            .cloned()
            .collect()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for from in request.into_inner().resource_spans {
            let attributes = from.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = attributes
                .into_iter()
                .find(|attribute| attribute.key == "service.name")
                .and_then(|attribute| attribute.value?.value)
                .and_then(|value| match value {
                    Value::StringValue(name) => Some(name),
                    _ => None,
                })
                .unwrap_or_default();
            let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans().extend(spans.map(|span| Span {
                service: service.clone(),
                text: format!("{span:?}"),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        _request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
