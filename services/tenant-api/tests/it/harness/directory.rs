//! The control plane's directory, played in process: a test says what it answers.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::TokenHash;
use proto::v1::{
    ReportActivityRequest, ReportActivityResponse, ResolveTenantRequest, ResolveTenantResponse, Tenant,
    WatchInvalidationsRequest, WatchInvalidationsResponse, resolve_tenant_request::By,
    tenant_directory_server::TenantDirectory,
};
use tokio::sync::{broadcast, watch};
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};
use tonic::{Request, Response, Status};

type Invalidations = Pin<Box<dyn Stream<Item = Result<WatchInvalidationsResponse, Status>> + Send>>;

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Well,
    /// Calls wait until it is well again.
    Hanging,
    /// It refuses calls, as a dying one does.
    Away,
}

/// The tenants that exist. Clones share them.
#[derive(Clone)]
pub struct Directory {
    tenants: Arc<Mutex<HashMap<[u8; 32], Tenant>>>,
    gone: broadcast::Sender<Gone>,
    sequence: Arc<AtomicU64>,
    resolved: Arc<AtomicU64>,
    mood: watch::Sender<Mood>,
}

#[derive(Clone, Copy)]
enum Gone {
    Token(u64, TokenHash),
    /// The stream breaks.
    Break,
}

impl Directory {
    /// Nobody.
    pub fn new() -> Self {
        Self {
            tenants: Arc::default(),
            gone: broadcast::channel(64).0,
            sequence: Arc::default(),
            resolved: Arc::default(),
            mood: watch::Sender::new(Mood::Well),
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
        self.change_silently(token, change);
        self.invalidate(token, 1);
    }

    /// Changes a tenant, and tells nobody.
    pub fn change_silently(&self, token: TokenHash, change: impl FnOnce(&mut Tenant)) {
        if let Some(tenant) = self.tenants().get_mut(token.as_bytes()) {
            tenant.generation += 1;
            change(tenant);
        }
    }

    /// Tells that an answer must go, `steps` after the last such message: 1 leaves no gap.
    pub fn invalidate(&self, token: TokenHash, steps: u64) {
        let sequence = self.sequence.fetch_add(steps, Ordering::Relaxed) + steps;
        let _ = self.gone.send(Gone::Token(sequence, token));
    }

    /// Ends all streams of invalidations.
    pub fn break_streams(&self) {
        let _ = self.gone.send(Gone::Break);
    }

    /// Streams of invalidations that are followed.
    pub fn followers(&self) -> usize {
        self.gone.receiver_count()
    }

    /// Changes how it behaves.
    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Look-ups that arrived so far.
    pub fn resolved(&self) -> u64 {
        self.resolved.load(Ordering::Relaxed)
    }

    async fn answers(&self) -> Result<(), Status> {
        let mut mood = self.mood.subscribe();
        let now = *mood
            .wait_for(|mood| *mood != Mood::Hanging)
            .await
            .map_err(|_| Status::cancelled("the test is over"))?;
        match now {
            Mood::Well | Mood::Hanging => Ok(()),
            Mood::Away => Err(Status::unavailable("the control plane is away")),
        }
    }
}

#[tonic::async_trait]
impl TenantDirectory for Directory {
    type WatchInvalidationsStream = Invalidations;

    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        self.answers().await?;
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
        self.answers().await?;
        let rest = BroadcastStream::new(self.gone.subscribe());
        let first = WatchInvalidationsResponse {
            sequence: self.sequence.load(Ordering::Relaxed),
            token_hash: Vec::new(),
        };
        let rest = rest.map(|gone| match gone {
            Ok(Gone::Token(sequence, token)) => Ok(WatchInvalidationsResponse {
                sequence,
                token_hash: token.as_bytes().to_vec(),
            }),
            Ok(Gone::Break) => Err(Status::unavailable("the stream broke")),
            Err(_) => Err(Status::data_loss("some were missed")),
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
