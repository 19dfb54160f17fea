//! The control plane's directory, played in process: a test says what it answers.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::TokenHash;
use proto::v1::{
    ReportActivityRequest, ReportActivityResponse, ResolveTenantRequest, ResolveTenantResponse, Tenant,
    WatchInvalidationsRequest, WatchInvalidationsResponse, resolve_tenant_request::By,
    tenant_directory_server::TenantDirectory,
};
use tokio::sync::broadcast;
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};
use tonic::{Request, Response, Status};

type Invalidations = Pin<Box<dyn Stream<Item = Result<WatchInvalidationsResponse, Status>> + Send>>;

/// The tenants that exist. Clones share them.
#[derive(Clone)]
pub struct Directory {
    tenants: Arc<Mutex<HashMap<[u8; 32], Tenant>>>,
    gone: broadcast::Sender<TokenHash>,
}

impl Directory {
    /// Nobody.
    pub fn new() -> Self {
        Self {
            tenants: Arc::default(),
            gone: broadcast::channel(64).0,
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<[u8; 32], Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a tenant.
    pub fn insert(&self, token: TokenHash, tenant: Tenant) {
        self.tenants().insert(*token.as_bytes(), tenant);
    }

    /// Changes a tenant, and tells that the cached answer must go.
    pub fn change(&self, token: TokenHash, change: impl FnOnce(&mut Tenant)) {
        if let Some(tenant) = self.tenants().get_mut(token.as_bytes()) {
            tenant.generation += 1;
            change(tenant);
        }
        let _ = self.gone.send(token);
    }
}

#[tonic::async_trait]
impl TenantDirectory for Directory {
    type WatchInvalidationsStream = Invalidations;

    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        let by = request.into_inner().by;
        let tenants = self.tenants();
        let tenant = match &by {
            Some(By::TokenHash(hash)) => <[u8; 32]>::try_from(hash.as_slice())
                .ok()
                .and_then(|hash| tenants.get(&hash)),
            Some(By::SessionId(id)) => tenants.values().find(|tenant| tenant.session_id == *id),
            Some(By::Token(_)) | None => return Err(Status::invalid_argument("by hash or id")),
        };
        match tenant {
            Some(tenant) => Ok(Response::new(ResolveTenantResponse {
                tenant: Some(tenant.clone()),
            })),
            None => Err(Status::not_found("no such session")),
        }
    }

    async fn watch_invalidations(
        &self,
        _request: Request<WatchInvalidationsRequest>,
    ) -> Result<Response<Invalidations>, Status> {
        let mut sequence = 0;
        let first = WatchInvalidationsResponse {
            sequence,
            token_hash: Vec::new(),
        };
        let rest = BroadcastStream::new(self.gone.subscribe()).map(move |token| {
            sequence += 1;
            match token {
                Ok(token) => Ok(WatchInvalidationsResponse {
                    sequence,
                    token_hash: token.as_bytes().to_vec(),
                }),
                Err(_) => Err(Status::data_loss("some were missed")),
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(first)).chain(rest))))
    }

    async fn report_activity(
        &self,
        _request: Request<ReportActivityRequest>,
    ) -> Result<Response<ReportActivityResponse>, Status> {
        Ok(Response::new(ReportActivityResponse { noted: 0 }))
    }
}
