//! Look-up of sessions by their token: the control plane's answers, cached.
//!
//! One call at a time for each token, a short life for answers, shorter for unknown tokens. Invalidations arrive on a
//! stream; a gap in it empties the cache. While the control plane is away, answers that were known go on until their
//! session expires. The fence that needs no cache is the database: the schema of an ended session has no name any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{Clock, RoleName, SchemaName, SessionId, SessionStatus, TokenHash};
use fault::{Fault, codes};
use moka::{Expiry, future::Cache};
use proto::v1::{
    ResolveTenantRequest, Tenant as Wire, WatchInvalidationsRequest, resolve_tenant_request::By,
    tenant_directory_client::TenantDirectoryClient,
};
use service::{
    config::Secret,
    grpc::{Caller, CallerTls},
    lifecycle::Lifecycle,
};
use tonic::{Code, Request, Status, service::interceptor::InterceptedService, transport::Channel};

use super::{
    Lookup, Tenant,
    metrics::{Lookups, Source},
};

/// The control plane's directory.
pub type Client = TenantDirectoryClient<InterceptedService<Channel, Caller>>;

/// How long the control plane may take for one look-up.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long it may take when an older answer is known.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// After a failed look-up, known answers serve for so long before the control plane is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Life of the answer that there is no such session.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Life of the answer that a session is being prepared: whoever is told that it is READY hardly ever meets it.
const NOT_READY: Duration = Duration::from_millis(20);
/// A stream that is silent for so long is taken for dead; the control plane sends a sign of life every 10 s.
const SILENCE: Duration = Duration::from_secs(30);
/// Answers kept: enough for every live session of a fleet and a bound against a flood of random tokens.
const CAPACITY: u64 = 100_000;

/// The cached directory. Clones share the cache.
#[derive(Clone, Debug)]
pub struct Directory {
    client: Client,
    fresh: Cache<TokenHash, Lookup>,
    known: Cache<TokenHash, Arc<Tenant>>,
    tokens: Cache<SessionId, TokenHash>,
    clock: Clock,
    epoch: Arc<AtomicU64>,
    started: Instant,
    /// Milliseconds after `started` until which the control plane is not asked.
    asleep_until: Arc<AtomicI64>,
    lookups: Lookups,
}

struct Life(Duration);

impl Expiry<TokenHash, Lookup> for Life {
    fn expire_after_create(&self, _: &TokenHash, lookup: &Lookup, _: Instant) -> Option<Duration> {
        Some(match lookup {
            Lookup::Ready(_) | Lookup::Over => self.0,
            Lookup::Unknown => UNKNOWN.min(self.0),
            Lookup::NotReady => NOT_READY.min(self.0),
        })
    }
}

/// Opens a client of the control plane's directory.
///
/// # Errors
/// When address or secret cannot be used.
pub fn connect(url: &str, tls: &CallerTls, secret: &Secret) -> anyhow::Result<Client> {
    Ok(TenantDirectoryClient::with_interceptor(
        service::grpc::channel_over(url, tls)?,
        service::grpc::caller(secret)?,
    ))
}

impl Directory {
    /// A directory that keeps answers for `life`.
    #[must_use]
    pub fn new(client: Client, life: Duration, clock: Clock) -> Self {
        Self {
            client,
            fresh: Cache::builder().max_capacity(CAPACITY).expire_after(Life(life)).build(),
            known: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(Duration::from_secs(24 * 3600))
                .build(),
            tokens: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(Duration::from_secs(24 * 3600))
                .build(),
            clock,
            epoch: Arc::default(),
            started: Instant::now(),
            asleep_until: Arc::default(),
            lookups: Lookups::new(),
        }
    }

    /// The session behind a token.
    ///
    /// # Errors
    /// 503 when the control plane is away and the session is not known here.
    pub async fn find(&self, token: TokenHash) -> Result<Lookup, Fault> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let lookup = match self.fresh.get(&token).await {
            Some(lookup) => {
                self.lookups.count(Source::Hit);
                lookup
            }
            None if self.is_asleep() => self.stale(token, "it was away a moment ago").await?,
            None => match self.ask(token).await {
                Ok(lookup) => {
                    self.lookups.count(Source::Miss);
                    self.remember(token, &lookup).await;
                    // An invalidation may have passed while the answer was on its way.
                    if self.epoch.load(Ordering::Acquire) != epoch {
                        self.fresh.invalidate(&token).await;
                    }
                    lookup
                }
                Err(cause) => {
                    self.sleep();
                    self.stale(token, &cause).await?
                }
            },
        };
        Ok(self.unless_expired(lookup))
    }

    /// Asks the control plane, once for all who want to know. A hanging control plane must not hang the sessions that
    /// are known: these wait for a moment only.
    async fn ask(&self, token: TokenHash) -> Result<Lookup, String> {
        let answer = self
            .fresh
            .try_get_with(token, self.load(By::TokenHash(token.as_bytes().to_vec())));
        let patience = if self.known.contains_key(&token) {
            IMPATIENCE
        } else {
            DEADLINE
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(lookup)) => Ok(lookup),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("it takes too long".to_owned()),
        }
    }

    /// The session with an id, for sealed addresses of uploads; `None` when there never was one. Whose token it is
    /// never changes, so that is asked once, and the token's own answer is cached and invalidated like any other.
    ///
    /// # Errors
    /// 503 when the control plane is away.
    pub async fn find_by_id(&self, session: SessionId) -> Result<Option<(TokenHash, Lookup)>, Fault> {
        let token = match self.tokens.get(&session).await {
            Some(token) => token,
            None => {
                let found = self.fetch(By::SessionId(session.to_string())).await;
                let found = found.map_err(|status| away(status.message()))?;
                let Some(token) = found.and_then(|tenant| TokenHash::from_bytes(&tenant.token_hash)) else {
                    return Ok(None);
                };
                self.tokens.insert(session, token).await;
                token
            }
        };
        let lookup = self.find(token).await?;
        Ok(Some((token, lookup)))
    }

    /// Forgets the fresh answer for a token; the next look-up asks the control plane. While that is away, the last answer
    /// still serves: an ended session's rows are out of reach by their name.
    pub async fn forget(&self, token: TokenHash) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.fresh.invalidate(&token).await;
    }

    /// Forgets a session whose schema the database does not know under the name that was remembered: it must not be
    /// served from memory either.
    pub async fn disown(&self, token: TokenHash) {
        self.known.invalidate(&token).await;
        self.forget(token).await;
    }

    /// Forgets all fresh answers: some invalidations may have been missed.
    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.fresh.invalidate_all();
    }

    /// Answers held now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.fresh.entry_count()
    }

    async fn load(&self, by: By) -> Result<Lookup, Status> {
        let tenant = self.fetch(by).await?;
        tenant.map_or(Ok(Lookup::Unknown), |tenant| lookup(&tenant))
    }

    async fn fetch(&self, by: By) -> Result<Option<Wire>, Status> {
        let mut request = Request::new(ResolveTenantRequest { by: Some(by) });
        request.set_timeout(DEADLINE);
        match self.client.clone().resolve_tenant(request).await {
            Ok(answer) => Ok(answer.into_inner().tenant),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    async fn remember(&self, token: TokenHash, lookup: &Lookup) {
        match lookup {
            Lookup::Ready(tenant) => self.known.insert(token, Arc::clone(tenant)).await,
            // One that is prepared anew is not what it was either.
            Lookup::NotReady | Lookup::Over | Lookup::Unknown => self.known.invalidate(&token).await,
        }
    }

    async fn stale(&self, token: TokenHash, cause: &str) -> Result<Lookup, Fault> {
        let known = self.known.get(&token).await;
        self.lookups
            .count(if known.is_some() { Source::Stale } else { Source::Away });
        known.map(Lookup::Ready).ok_or_else(|| away(cause))
    }

    fn unless_expired(&self, lookup: Lookup) -> Lookup {
        match lookup {
            Lookup::Ready(tenant) if tenant.expires_at <= self.clock.now() => Lookup::Over,
            other => other,
        }
    }

    fn since_start(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn is_asleep(&self) -> bool {
        self.since_start() < self.asleep_until.load(Ordering::Relaxed)
    }

    fn sleep(&self) {
        let until = self
            .since_start()
            .saturating_add(i64::try_from(PATIENCE.as_millis()).unwrap_or(0));
        self.asleep_until.store(until, Ordering::Relaxed);
    }

    /// Follows invalidations until the process stops.
    pub async fn follow(&self, lifecycle: &Lifecycle) {
        while !lifecycle.is_stopping() {
            tokio::select! {
                () = lifecycle.clone().stopping() => return,
                status = self.follow_once() => tracing::debug!(%status, "the stream of invalidations ended"),
            }
            // What was missed meanwhile is unknown.
            self.forget_all();
            tokio::select! {
                () = lifecycle.clone().stopping() => return,
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
            }
        }
    }

    async fn follow_once(&self) -> Status {
        let mut client = self.client.clone();
        let opened = tokio::time::timeout(SILENCE, client.watch_invalidations(WatchInvalidationsRequest {})).await;
        let mut stream = match opened {
            Ok(Ok(stream)) => stream.into_inner(),
            Ok(Err(status)) => return status,
            Err(_) => return Status::deadline_exceeded("no answer"),
        };
        let mut last = None;
        loop {
            let message = match tokio::time::timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Status::unavailable("closed by the control plane"),
                Ok(Err(status)) => return status,
                Err(_) => return Status::deadline_exceeded("no sign of life"),
            };
            match TokenHash::from_bytes(&message.token_hash) {
                None if last.is_none() => self.forget_all(),
                None if last != Some(message.sequence) => self.forget_all(),
                None => {}
                Some(token) => {
                    if last.is_some_and(|last: u64| last.wrapping_add(1) != message.sequence) {
                        self.forget_all();
                    }
                    self.forget(token).await;
                }
            }
            last = Some(message.sequence);
        }
    }
}

fn away(cause: &str) -> Fault {
    Fault::unavailable(1, format!("the session directory is away: {cause}"))
        .because(format!("the session directory is away: {cause}"))
}

/// What the control plane's answer means; a malformed one is its fault, not the visitor's.
fn lookup(wire: &Wire) -> Result<Lookup, Status> {
    let malformed = |what: &str| Status::internal(format!("the directory's answer has no valid {what}"));
    let status = proto::status_from(wire.status()).ok_or_else(|| malformed("status"))?;
    match status {
        SessionStatus::Pending | SessionStatus::Provisioning => return Ok(Lookup::NotReady),
        SessionStatus::Failed | SessionStatus::Dropped => return Ok(Lookup::Over),
        SessionStatus::Ready => {}
    }
    Ok(Lookup::Ready(Arc::new(Tenant {
        session: wire.session_id.parse().map_err(|_| malformed("session id"))?,
        schema: SchemaName::parse(&wire.schema_name).map_err(|_| malformed("schema"))?,
        role: RoleName::parse(&wire.role_name).map_err(|_| malformed("role"))?,
        generation: wire.generation,
        enabled: wire.enabled_features.clone(),
        ignored: wire.ignored_features.clone(),
        currency: wire.currency.clone(),
        tier: wire.tier.clone(),
        expires_at: wire
            .expires_at
            .as_ref()
            .and_then(proto::instant)
            .ok_or_else(|| malformed("expiry"))?,
    })))
}

/// The fault that a look-up without a tenant is answered with.
///
/// # Errors
/// Always, unless the session is ready.
pub fn ready(lookup: Lookup) -> Result<Arc<Tenant>, Fault> {
    match lookup {
        Lookup::Ready(tenant) => Ok(tenant),
        Lookup::NotReady => {
            Err(Fault::new(codes::SESSION_NOT_READY, "This preview is still being prepared.").retry_after(1))
        }
        Lookup::Over => Err(Fault::new(
            codes::SESSION_EXPIRED,
            "This preview is over. Start a new one to go on.",
        )),
        Lookup::Unknown => Err(Fault::new(
            codes::SESSION_NOT_FOUND,
            "There is no preview with this token.",
        )),
    }
}
