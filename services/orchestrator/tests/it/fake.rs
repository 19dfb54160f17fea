//! A provisioner that does what a test says: it keeps the names of schemas, and can be away, slow or unwilling.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fault::{Fault, codes};
use proto::v1::{
    DropSchemaRequest, DropSchemaResponse, ListSchemasRequest, ListSchemasResponse, PoolStatusRequest,
    PoolStatusResponse, ProvisionSchemaRequest, ProvisionSchemaResponse, RecycleSlotRequest, RecycleSlotResponse,
    SeedModulesRequest, SeedModulesResponse, SetPoolTargetRequest, SetPoolTargetResponse, Slot, SlotState,
    provisioner_service_server::{ProvisionerService, ProvisionerServiceServer},
};
use service::{
    config::Secret,
    grpc::guard,
    lifecycle::{Lifecycle, Signals},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};

/// The role of every slot.
pub const ROLE: &str = "test_slot_0001";

/// Its state, shared by all who hold it.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    /// Schemas by session, with the modules that were seeded.
    pub schemas: BTreeMap<String, Vec<String>>,
    /// The generation of the session for which it was given its schema.
    pub generations: BTreeMap<String, i64>,
    /// Every call, in order: its name and the session.
    pub calls: Vec<(&'static str, String)>,
    /// Every call of DropSchema.
    pub drops: Vec<DropSchemaRequest>,
    /// What ProvisionSchema answers instead of a schema.
    pub refusal: Option<Status>,
    /// The session whose schema cannot be dropped now.
    pub stuck: Option<String>,
    /// ProvisionSchema and SeedModules wait for a permit of it.
    pub gate: Option<Arc<Semaphore>>,
    address: Option<SocketAddr>,
    running: Option<Lifecycle>,
}

impl Fake {
    /// A provisioner that serves.
    pub async fn start() -> anyhow::Result<Self> {
        let fake = Self::default();
        fake.come_back().await?;
        Ok(fake)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self) -> String {
        let address = self.state().address.expect("it was started once");
        format!("http://{address}")
    }

    /// How often a call was made for a session.
    pub fn count(&self, call: &str, session: &str) -> usize {
        let state = self.state();
        state
            .calls
            .iter()
            .filter(|made| made.0 == call && made.1 == session)
            .count()
    }

    /// Makes ProvisionSchema and SeedModules wait until permits are added.
    pub fn shut_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.state().gate = Some(gate.clone());
        gate
    }

    /// Stops listening; connections end.
    pub async fn go_away(&self) {
        let running = self.state().running.take();
        if let Some(running) = running {
            running.stop();
            if let Ok(signals) = Signals::listen() {
                running.run(signals, Duration::from_secs(5)).await;
            }
        }
    }

    /// Serves at its first address again.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        let address = self.state().address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(address).await?;
        let lifecycle = Lifecycle::new();
        let (_, health) = tonic_health::server::health_reporter();
        {
            let mut state = self.state();
            state.address = Some(listener.local_addr()?);
            state.running = Some(lifecycle.clone());
        }
        let service = ProvisionerServiceServer::new(self.clone());
        let server = service::grpc::server()
            .add_service(health)
            .add_service(InterceptedService::new(
                service,
                guard(Secret::new(super::harness::SECRET)),
            ))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), lifecycle.clone().stopping());
        lifecycle.spawn(async move { server.await.expect("it serves") });
        Ok(())
    }

    async fn pass_gate(&self) {
        let gate = self.state().gate.clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("never closed").forget();
        }
    }

    fn note(&self, call: &'static str, session: &str) {
        self.state().calls.push((call, session.to_owned()));
    }
}

fn schema_of(session: &str) -> String {
    format!("preview_{}", session.replace('-', ""))
}

#[tonic::async_trait]
impl ProvisionerService for Fake {
    async fn provision_schema(
        &self,
        request: Request<ProvisionSchemaRequest>,
    ) -> Result<Response<ProvisionSchemaResponse>, Status> {
        let request = request.into_inner();
        self.note("provision", &request.session_id);
        self.pass_gate().await;
        let mut state = self.state();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let schema_name = schema_of(&request.session_id);
        let generation = state.generations.entry(request.session_id.clone()).or_default();
        *generation = request.generation.max(*generation);
        state.schemas.entry(request.session_id).or_insert(request.modules);
        Ok(Response::new(ProvisionSchemaResponse {
            schema_name,
            role_name: ROLE.to_owned(),
            warm: true,
        }))
    }

    async fn seed_modules(
        &self,
        request: Request<SeedModulesRequest>,
    ) -> Result<Response<SeedModulesResponse>, Status> {
        let request = request.into_inner();
        self.note("seed", &request.session_id);
        self.pass_gate().await;
        let mut state = self.state();
        let Some(known) = state.schemas.get_mut(&request.session_id) else {
            return Err(Status::not_found("no schema"));
        };
        let fresh: Vec<_> = request
            .modules
            .into_iter()
            .filter(|module| !known.contains(module))
            .collect();
        known.extend(fresh.clone());
        Ok(Response::new(SeedModulesResponse { seeded: fresh }))
    }

    async fn drop_schema(&self, request: Request<DropSchemaRequest>) -> Result<Response<DropSchemaResponse>, Status> {
        let request = request.into_inner();
        self.state().drops.push(request.clone());
        let session = request.session_id;
        self.note("drop", &session);
        if self.state().stuck.as_ref() == Some(&session) {
            return Err(fault::Fault::unavailable(1, "a lock").into());
        }
        let mut state = self.state();
        let generation = state.generations.get(&session).copied().unwrap_or_default();
        let newer = request.before_generation.is_some_and(|before| generation >= before);
        let existed = !newer && state.schemas.remove(&session).is_some();
        Ok(Response::new(DropSchemaResponse { existed }))
    }

    async fn list_schemas(
        &self,
        request: Request<ListSchemasRequest>,
    ) -> Result<Response<ListSchemasResponse>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let slots = state.schemas.iter().zip(1..).map(|((session, modules), id)| Slot {
            id,
            role_name: ROLE.to_owned(),
            schema_name: schema_of(session),
            state: SlotState::Claimed.into(),
            session_id: session.clone(),
            modules: modules.clone(),
            fingerprint: String::new(),
            bytes: request.with_bytes.then_some(1_000_000),
        });
        let wanted = slots.filter(|slot| {
            slot.id > request.after
                && (request.session_ids.is_empty() || request.session_ids.contains(&slot.session_id))
        });
        let most = usize::try_from(request.most).unwrap_or_default();
        let slots = wanted.take(if most == 0 { usize::MAX } else { most }).collect();
        Ok(Response::new(ListSchemasResponse { slots }))
    }

    /// Slot 1000 is ready in this world, all others are lived in.
    async fn recycle_slot(
        &self,
        request: Request<RecycleSlotRequest>,
    ) -> Result<Response<RecycleSlotResponse>, Status> {
        let request = request.into_inner();
        self.note("recycle", &request.schema_name);
        match request.slot_id {
            1000 => Ok(Response::new(RecycleSlotResponse { begun: true })),
            id if usize::try_from(id).is_ok_and(|id| (1..=self.state().schemas.len()).contains(&id)) => {
                Err(Fault::new(codes::INVALID_STATE, "A session lives in it.").into())
            }
            _ => Err(Fault::not_found().into()),
        }
    }

    async fn pool_status(&self, _: Request<PoolStatusRequest>) -> Result<Response<PoolStatusResponse>, Status> {
        let claimed = u32::try_from(self.state().schemas.len()).unwrap_or(u32::MAX);
        Ok(Response::new(PoolStatusResponse {
            target: 8,
            ready: 8,
            claimed,
            ..PoolStatusResponse::default()
        }))
    }

    async fn set_pool_target(
        &self,
        request: Request<SetPoolTargetRequest>,
    ) -> Result<Response<SetPoolTargetResponse>, Status> {
        let target = request.into_inner().target;
        let status = PoolStatusResponse {
            target,
            ..PoolStatusResponse::default()
        };
        Ok(Response::new(SetPoolTargetResponse { status: Some(status) }))
    }
}
