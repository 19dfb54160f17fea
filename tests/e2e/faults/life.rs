//! One session's life over gRPC, by a client that repeats what it got no answer to, and believes what it was told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::eventually;
use proto::v1::{
    CreateSessionRequest, EndSessionRequest, ExtendSessionRequest, FeatureChoice, GetSessionRequest, HeartbeatRequest,
    RestartSessionRequest, Session, SessionRef, SessionStatus, UpdateSessionRequest, session_ref::By,
    session_service_client::SessionServiceClient,
};
use service::grpc::{Caller, channel};
use testkit::{Api, Stack};
use tokio_postgres::Client as Database;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::kind::{Foreign, Kind, Standstill};
use super::steps::{Fault, Steps};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tries of one thing: after these a life is left to itself, and looked at again in the end.
const TRIES: usize = 25;
/// Shorter than what is told, so that repeats meet what is still under way.
const PAUSE: Duration = Duration::from_millis(100);

type Calls = SessionServiceClient<InterceptedService<Channel, Caller>>;

/// What a client knows of its session.
#[derive(Clone, Debug)]
pub struct Life {
    /// Which one.
    pub number: usize,
    /// Its token, once it was told.
    pub token: Option<String>,
    /// It was ended, or may be. Otherwise it gets READY, whatever happens.
    pub over: bool,
}

/// The client.
pub struct Client {
    calls: Calls,
    tenant: Api,
    steps: Arc<Steps>,
}

impl Client {
    /// A client of the orchestrator, and of the first tenant-api.
    pub fn of(stack: &Stack, steps: &Arc<Steps>) -> Result<Self> {
        let url = format!("http://{}", stack.grpc_address()?);
        Ok(Self {
            calls: SessionServiceClient::with_interceptor(channel(&url)?, stack.caller()?),
            tenant: stack.tenant(0),
            steps: steps.clone(),
        })
    }

    /// A life as far as it comes: creation, use, changes, restart, end; or what its kind is made for.
    pub async fn live(&self, number: usize, database: &Database) -> Result<Life> {
        let mut life = Life {
            number,
            token: None,
            over: false,
        };
        let Some(session) = self.create(number).await? else {
            return Ok(life);
        };
        let token = session.session_token.clone();
        life.token = Some(token.clone());
        let kind = Kind::of(number);
        let pending = session.status() == SessionStatus::Pending;
        // These end, however far they come.
        life.over = pending && matches!(kind, Kind::EndsUnborn | Kind::EndsEarly | Kind::Fails);
        match kind {
            Kind::EndsUnborn if pending => {
                self.end(&token).await?;
            }
            Kind::EndsEarly if pending => self.ends_early(&session, &token, database).await?,
            Kind::Fails if pending => self.fails(&session, &token, database).await?,
            _ => life.over = self.lives_on(session, &token, kind, database).await?,
        }
        Ok(life)
    }

    /// Use, changes, restart and end; whether it came to the end.
    async fn lives_on(&self, session: Session, token: &str, kind: Kind, database: &Database) -> Result<bool> {
        if !self.is_ready(session, token).await? || !self.is_changed(token).await? {
            return Ok(false);
        }
        let session = self.ask("a look", async |mut calls| calls.get_session(get(token)).await);
        if let Some(session) = session.await?.and_then(|answer| answer.session) {
            kind.use_slot(database, &session.id).await;
        }
        self.end(token).await?;
        Ok(true)
    }

    /// Creates the session of a number; the same one each time.
    pub async fn create(&self, number: usize) -> Result<Option<Session>> {
        let request = CreateSessionRequest {
            selected_features: Vec::new(),
            tier: "starter".to_owned(),
            provision_schema: Some(Kind::of(number).is_prepared_at_once()),
            idempotency_key: Some(format!("life-{number}")),
            client_ip: "192.0.2.1".to_owned(),
            ..CreateSessionRequest::default()
        };
        let created = self.ask("a creation", async |mut calls| {
            calls.create_session(request.clone()).await
        });
        let session = created.await?.and_then(|answer| answer.session);
        if let Some(session) = &session {
            ensure!(!session.session_token.is_empty(), "no token: {session:?}");
            ensure!(session.status() != SessionStatus::Failed, "{session:?}");
        }
        Ok(session)
    }

    /// Whether a session that was left to itself has become READY, and is the one that was told of.
    pub async fn keeps(&self, life: &Life) -> Result<bool> {
        let Some(session) = self.create(life.number).await? else {
            return Ok(false);
        };
        let known = life.token.as_ref().is_none_or(|token| *token == session.session_token);
        ensure!(known, "one key, two sessions: {life:?}, {session:?}");
        let token = session.session_token.clone();
        self.is_ready(session, &token).await
    }

    /// Ends a session; whether it was told that it is over.
    pub async fn end(&self, token: &str) -> Result<bool> {
        let request = EndSessionRequest { session: by(token) };
        let ended = self.ask("an end", async |mut calls| calls.end_session(request.clone()).await);
        if ended.await?.is_none() {
            return Ok(false);
        }
        self.serves(token, 410).await?;
        Ok(true)
    }

    /// Ends the session while a slot is looked for.
    async fn ends_early(&self, session: &Session, token: &str, database: &Database) -> Result<()> {
        let Some(standstill) = Standstill::begin(database).await else {
            self.end(token).await?;
            return Ok(());
        };
        let wanted = self.ask("a look that wants it", async |mut calls| {
            calls.get_session(get(token)).await
        });
        let wanted = wanted.await;
        standstill.await_preparation(&session.id).await;
        let (ended, moving) = tokio::join!(self.end(token), async {
            // The provisioner is asked to undo what it is asked to do.
            tokio::time::sleep(PAUSE).await;
            standstill.end().await
        });
        moving?;
        wanted?;
        ended?;
        Ok(())
    }

    /// Looks until the session has failed, and ends it.
    async fn fails(&self, session: &Session, token: &str, database: &Database) -> Result<()> {
        let foreign = Foreign::make(database, &session.id).await?;
        // It fails when it has a slot, which may have to be made first.
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            let looked = self.ask("a look at what fails", async |mut calls| {
                calls.get_session(get(token)).await
            });
            match looked.await?.and_then(|answer| answer.session) {
                Some(session) if session.status() == SessionStatus::Failed => {
                    let code = session.failure.map(|failure| failure.code);
                    ensure!(code.as_deref() == Some("PROVISIONING_FAILED"), "{code:?}");
                    break;
                }
                Some(session) => ensure!(session.status() != SessionStatus::Ready, "{session:?}"),
                None => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.end(token).await?;
        foreign.take_away().await
    }

    /// Looks until the session is READY and served.
    async fn is_ready(&self, mut session: Session, token: &str) -> Result<bool> {
        for _ in 0..TRIES {
            match session.status() {
                SessionStatus::Ready => {
                    self.serves(token, 200).await?;
                    return Ok(true);
                }
                SessionStatus::Pending | SessionStatus::Provisioning => tokio::time::sleep(PAUSE).await,
                other => bail!("{other:?} without a reason: {session:?}"),
            }
            let looked = self.ask("a first look", async |mut calls| calls.get_session(get(token)).await);
            match looked.await?.and_then(|answer| answer.session) {
                Some(next) => session = next,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Heartbeat, other features, a later end, a restart: whether all were answered.
    async fn is_changed(&self, token: &str) -> Result<bool> {
        let request = HeartbeatRequest { session: by(token) };
        let beat = self.ask("a heartbeat", async |mut calls| calls.heartbeat(request.clone()).await);
        if beat.await?.is_none() {
            return Ok(false);
        }
        let request = UpdateSessionRequest {
            session: by(token),
            features: Some(FeatureChoice {
                selected_features: vec!["ecommerce".to_owned()],
            }),
            tier: None,
        };
        let updated = self.ask("an update", async |mut calls| {
            calls.update_session(request.clone()).await
        });
        let Some(session) = updated.await?.and_then(|answer| answer.session) else {
            return Ok(false);
        };
        ensure!(session.modules.contains(&"ecommerce".to_owned()), "{session:?}");
        let request = ExtendSessionRequest { session: by(token) };
        let extended = self.ask("an extension", async |mut calls| {
            calls.extend_session(request.clone()).await
        });
        let Some(later) = extended.await?.and_then(|answer| answer.session) else {
            return Ok(false);
        };
        let at = |session: &Session| session.expires_at.map(|at| (at.seconds, at.nanos));
        ensure!(at(&later) >= at(&session), "{session:?} {later:?}");
        let request = RestartSessionRequest {
            session: by(token),
            ..RestartSessionRequest::default()
        };
        let restarted = self.ask("a restart", async |mut calls| {
            calls.restart_session(request.clone()).await
        });
        let Some(session) = restarted.await?.and_then(|answer| answer.session) else {
            return Ok(false);
        };
        self.is_ready(session, token).await
    }

    /// Asks until there is an answer; `None` when there is none for long, or the session is at work with something else.
    async fn ask<A>(
        &self,
        what: &'static str,
        call: impl AsyncFn(Calls) -> Result<Response<A>, Status>,
    ) -> Result<Option<A>> {
        self.steps.doing(what);
        for _ in 0..TRIES {
            let answer = tokio::time::timeout(PATIENCE, call(self.calls.clone())).await;
            match answer.with_context(|| format!("{what}: no answer, after {:?}", self.steps.points().last()))? {
                Ok(answer) => return Ok(Some(answer.into_inner())),
                Err(status) => {
                    if self.is_at_work(what, &status)? {
                        return Ok(None);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// An honest refusal says that it passes, and when.
    fn is_at_work(&self, what: &str, status: &Status) -> Result<bool> {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str());
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        match (reason, wait) {
            (Some("SESSION_NOT_READY"), Some(_)) => Ok(true),
            (Some("UNAVAILABLE"), Some(wait)) if wait >= Duration::from_secs(1) => Ok(false),
            // The process that was asked was killed: its connection broke, or there is nobody to connect to.
            (None, None) if self.steps.fault() == Fault::Kill => {
                ensure!(status.code() != Code::Unimplemented, "{what}: {status:?}");
                Ok(false)
            }
            _ => bail!(
                "{what} was answered with {status:?} after {:?}",
                self.steps.points().last()
            ),
        }
    }

    /// The data plane follows.
    async fn serves(&self, token: &str, status: u16) -> Result<()> {
        let api = self.tenant.session(token);
        let what = format!("the data plane answers {status} after {:?}", self.steps.points().last());
        eventually(&what, PATIENCE, async || {
            Ok(api.get("/api/v1/config").await?.status() == status)
        })
        .await
    }
}

fn get(token: &str) -> GetSessionRequest {
    GetSessionRequest { session: by(token) }
}

fn by(token: &str) -> Option<SessionRef> {
    Some(SessionRef {
        by: Some(By::SessionToken(token.to_owned())),
    })
}
