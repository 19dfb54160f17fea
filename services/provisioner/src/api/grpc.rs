//! `ProvisionerService`: reads requests, calls the slots, writes answers. Decides nothing.

use std::sync::Arc;

use domain::{Currency, SessionId};
use fault::{Fault, codes};
use modules::Module;
use proto::v1::{
    self,
    provisioner_service_server::{ProvisionerService, ProvisionerServiceServer},
};
use service::{grpc, lifecycle::Lifecycle};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::{
    config::{Config, LARGEST_TARGET},
    slot::{
        Order, Renewal, Slots,
        store::{Levels, Selection, Slot, State},
    },
};

/// A request names a session and a few modules.
const LARGEST_REQUEST: usize = 64 * 1024;

/// The service over the slots.
#[derive(Clone)]
pub struct Provisioner(Arc<Slots>);

/// Serves until the process stops, then lets calls that are under way end.
///
/// # Errors
/// When the reflection service cannot be built, or the certificates cannot be used.
pub async fn serve(
    listener: TcpListener,
    slots: Arc<Slots>,
    config: &Config,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ProvisionerServiceServer<Provisioner>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(v1::provisioner_service_server::SERVICE_NAME)
            .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
    };
    let service = ProvisionerServiceServer::new(Provisioner(slots)).max_decoding_message_size(LARGEST_REQUEST);
    let server = config
        .tls
        .protect(grpc::server())?
        .layer(grpc::reasons())
        .trace_fn(grpc::span)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(tonic::service::interceptor::InterceptedService::new(
            service,
            grpc::guard(config.secret.clone()),
        ))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), lifecycle.clone().stopping());
    lifecycle.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(error = %fault::chain(&error), "the gRPC interface failed");
        }
    });
    Ok(())
}

#[tonic::async_trait]
impl ProvisionerService for Provisioner {
    async fn provision_schema(
        &self,
        request: Request<v1::ProvisionSchemaRequest>,
    ) -> Result<Response<v1::ProvisionSchemaResponse>, Status> {
        let body = request.into_inner();
        let order = Order {
            generation: body.generation,
            ..order(&body.session_id, &body.modules, &body.currency)?
        };
        let home = self.0.provision(order).await?;
        Ok(Response::new(v1::ProvisionSchemaResponse {
            schema_name: home.schema.to_string(),
            role_name: home.role.to_string(),
            warm: home.warm,
        }))
    }

    async fn seed_modules(
        &self,
        request: Request<v1::SeedModulesRequest>,
    ) -> Result<Response<v1::SeedModulesResponse>, Status> {
        let body = request.into_inner();
        let order = order(&body.session_id, &body.modules, &body.currency)?;
        let seeded = self.0.seed(order).await?.into_iter().map(str::to_owned).collect();
        Ok(Response::new(v1::SeedModulesResponse { seeded }))
    }

    async fn drop_schema(
        &self,
        request: Request<v1::DropSchemaRequest>,
    ) -> Result<Response<v1::DropSchemaResponse>, Status> {
        let body = request.into_inner();
        let session = session(&body.session_id)?;
        let existed = self.0.release(session, body.before_generation).await?;
        Ok(Response::new(v1::DropSchemaResponse { existed }))
    }

    async fn list_schemas(
        &self,
        request: Request<v1::ListSchemasRequest>,
    ) -> Result<Response<v1::ListSchemasResponse>, Status> {
        let body = request.into_inner();
        let selection = selection(&body)?;
        let slots = if body.with_bytes {
            let measured = self.0.survey(&selection).await?;
            measured.into_iter().map(|(found, bytes)| slot(found, bytes)).collect()
        } else {
            let listed = self.0.list(&selection).await?;
            listed.into_iter().map(|found| slot(found, None)).collect()
        };
        Ok(Response::new(v1::ListSchemasResponse { slots }))
    }

    async fn recycle_slot(
        &self,
        request: Request<v1::RecycleSlotRequest>,
    ) -> Result<Response<v1::RecycleSlotResponse>, Status> {
        let body = request.into_inner();
        let begun = match self.0.renew(body.slot_id, &body.schema_name).await? {
            Renewal::Begun => true,
            Renewal::Done => false,
            Renewal::Claimed => {
                let message = format!("A session lives in slot {}. End the session instead.", body.slot_id);
                return Err(Fault::new(codes::INVALID_STATE, message).into());
            }
            Renewal::Unknown => {
                return Err(Fault::new(codes::NOT_FOUND, format!("There is no slot {}.", body.slot_id)).into());
            }
        };
        Ok(Response::new(v1::RecycleSlotResponse { begun }))
    }

    async fn pool_status(&self, _: Request<v1::PoolStatusRequest>) -> Result<Response<v1::PoolStatusResponse>, Status> {
        Ok(Response::new(status(self.0.levels().await?)))
    }

    async fn set_pool_target(
        &self,
        request: Request<v1::SetPoolTargetRequest>,
    ) -> Result<Response<v1::SetPoolTargetResponse>, Status> {
        let target = request.into_inner().target;
        if target > LARGEST_TARGET {
            return Err(Fault::field("target", format!("must be 0 to {LARGEST_TARGET}")).into());
        }
        let status = Some(status(self.0.set_target(target).await?));
        Ok(Response::new(v1::SetPoolTargetResponse { status }))
    }
}

fn session(text: &str) -> Result<SessionId, Fault> {
    let session: SessionId = text
        .parse()
        .map_err(|_| Fault::field("session_id", "must be the id of a session, a UUID"))?;
    Span::current().record("session.id", tracing::field::display(session));
    Ok(session)
}

fn order(session_id: &str, modules: &[String], currency: &str) -> Result<Order, Fault> {
    let mut details = Vec::new();
    let mut chosen: Vec<&'static Module> = Vec::new();
    for (position, id) in modules.iter().enumerate() {
        match modules::module(id) {
            Some(module) => chosen.push(module),
            None => details.push(fault::Detail::new(
                format!("modules[{position}]"),
                "must be the id of a module",
            )),
        }
    }
    let currency = currency
        .parse::<Currency>()
        .map_err(|error| details.push(fault::Detail::new("currency", error.to_string())));
    let session = session(session_id).map_err(|fault| details.extend_from_slice(fault.fields()));
    match (session, currency) {
        (Ok(session), Ok(currency)) if details.is_empty() => Ok(Order {
            session,
            modules: chosen,
            currency,
            generation: 0,
        }),
        _ => Err(Fault::invalid(details)),
    }
}

fn selection(request: &v1::ListSchemasRequest) -> Result<Selection, Fault> {
    let sessions = request
        .session_ids
        .iter()
        .enumerate()
        .map(|(position, id)| {
            id.parse().map_err(|_| {
                Fault::field(
                    format!("session_ids[{position}]"),
                    "must be the id of a session, a UUID",
                )
            })
        })
        .collect::<Result<Vec<SessionId>, _>>()?;
    let most = u32::try_from(request.most).map_err(|_| Fault::field("most", "must not be negative"))?;
    Ok(Selection {
        sessions: (!sessions.is_empty()).then_some(sessions),
        after: request.after,
        most: (most > 0).then_some(most),
    })
}

fn status(levels: Levels) -> v1::PoolStatusResponse {
    v1::PoolStatusResponse {
        target: levels.target,
        ready: levels.ready,
        preparing: levels.preparing,
        claimed: levels.claimed,
        gone: levels.gone,
        empty: levels.empty,
    }
}

fn slot(slot: Slot, bytes: Option<i64>) -> v1::Slot {
    let state = match slot.state {
        State::Empty => v1::SlotState::Empty,
        State::Preparing => v1::SlotState::Preparing,
        State::Ready => v1::SlotState::Ready,
        State::Claimed => v1::SlotState::Claimed,
        State::Gone => v1::SlotState::Gone,
    };
    v1::Slot {
        id: slot.id,
        role_name: slot.role.to_string(),
        schema_name: slot.schema.map(|schema| schema.to_string()).unwrap_or_default(),
        state: state.into(),
        session_id: slot.session.map(|session| session.to_string()).unwrap_or_default(),
        modules: slot.modules,
        fingerprint: slot.fingerprint.unwrap_or_default(),
        bytes,
    }
}
