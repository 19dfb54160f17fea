//! The gRPC services: for the studio's backend, for the data plane and for operators.

mod directory;
mod operators;
mod read;
mod sessions;
mod view;

use std::sync::Arc;

use proto::v1::{
    operator_service_server::{self, OperatorServiceServer},
    session_service_server::{self, SessionServiceServer},
    tenant_directory_server::{self, TenantDirectoryServer},
};
use service::{
    config::Secret,
    grpc::{MOST_MESSAGE_BYTES, ServerTls, guard, reasons, server, span},
    lifecycle::Lifecycle,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;

use crate::{config, session::Sessions};

/// What the services share.
#[derive(Clone)]
struct Door {
    sessions: Sessions,
    config: Arc<config::Rest>,
}

/// Who may come in.
pub struct Opening {
    /// What callers must know.
    pub secret: Secret,
    /// What is shown to callers and demanded of them.
    pub tls: ServerTls,
}

/// Serves everything on `listener` until the process stops.
///
/// # Errors
/// When the descriptors or the certificates cannot be read.
pub async fn serve(
    listener: TcpListener,
    sessions: Sessions,
    config: config::Rest,
    Opening { secret, tls }: Opening,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let door = Door {
        sessions,
        config: Arc::new(config),
    };
    let studio = SessionServiceServer::new(door.clone()).max_decoding_message_size(MOST_MESSAGE_BYTES);
    let operators = OperatorServiceServer::new(door.clone()).max_decoding_message_size(MOST_MESSAGE_BYTES);
    let directory = TenantDirectoryServer::new(door).max_decoding_message_size(MOST_MESSAGE_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SessionServiceServer<Door>>().await;
    health.set_serving::<TenantDirectoryServer<Door>>().await;
    health.set_serving::<OperatorServiceServer<Door>>().await;
    let reflection = || {
        // The descriptors also hold what other processes serve.
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(session_service_server::SERVICE_NAME)
            .with_service_name(tenant_directory_server::SERVICE_NAME)
            .with_service_name(operator_service_server::SERVICE_NAME)
            .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
    };
    let stopping = lifecycle.clone().stopping();
    let server = tls
        .protect(server())?
        .layer(reasons())
        .trace_fn(span)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(InterceptedService::new(studio, guard(secret.clone())))
        .add_service(InterceptedService::new(operators, guard(secret.clone())))
        .add_service(InterceptedService::new(directory, guard(secret)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopping);
    lifecycle.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(error = %fault::chain(&error), "the gRPC services failed");
        }
    });
    Ok(())
}
