//! The client against a control plane that does what a test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use client::{Change, Creation, Deadline, Error, Studio};
use domain::SessionStatus;
use fault::{Detail, Fault, codes};
use futures::StreamExt;
use proto::v1::{
    CreateSessionRequest, CreateSessionResponse, EndSessionRequest, EndSessionResponse, ExtendSessionRequest,
    ExtendSessionResponse, GetSessionRequest, GetSessionResponse, HeartbeatRequest, HeartbeatResponse,
    ListSessionsRequest, ListSessionsResponse, RestartSessionRequest, RestartSessionResponse, Session,
    UpdateSessionRequest, UpdateSessionResponse, WatchSessionRequest, WatchSessionResponse,
    session_service_server::{SessionService, SessionServiceServer},
};
use service::{config::Secret, grpc::guard};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService, transport::Server};

const SECRET: &str = "a-secret-of-the-client's-tests";

/// What the next calls answer, and the creations that came.
#[derive(Clone, Default)]
struct Script {
    faults: Arc<Mutex<VecDeque<Status>>>,
    creations: Arc<Mutex<Vec<CreateSessionRequest>>>,
}

impl Script {
    fn next(&self) -> Result<(), Status> {
        self.faults
            .lock()
            .expect("not poisoned")
            .pop_front()
            .map_or(Ok(()), Err)
    }

    fn say(&self, faults: impl IntoIterator<Item = Status>) {
        self.faults.lock().expect("not poisoned").extend(faults);
    }
}

fn session(status: SessionStatus) -> Session {
    let now = Some(proto::timestamp(chrono::DateTime::UNIX_EPOCH));
    Session {
        id: "01939c6e-8f3a-7cc1-a8f1-0a8a37a1f2b3".to_owned(),
        session_token: "a-token-of-the-clients-tests".to_owned(),
        tier: "pro".to_owned(),
        currency: "USD".to_owned(),
        status: proto::status_to(status).into(),
        created_at: now,
        last_accessed_at: now,
        expires_at: now,
        ..Session::default()
    }
}

fn ready() -> Option<Session> {
    Some(session(SessionStatus::Ready))
}

#[tonic::async_trait]
impl SessionService for Script {
    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<CreateSessionResponse>, Status> {
        self.creations.lock().expect("not poisoned").push(request.into_inner());
        self.next()?;
        let (session, replayed) = (ready(), false);
        Ok(Response::new(CreateSessionResponse { session, replayed }))
    }

    async fn get_session(&self, _: Request<GetSessionRequest>) -> Result<Response<GetSessionResponse>, Status> {
        self.next()?;
        Ok(Response::new(GetSessionResponse { session: ready() }))
    }

    type WatchSessionStream = futures::stream::BoxStream<'static, Result<WatchSessionResponse, Status>>;

    async fn watch_session(
        &self,
        _: Request<WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        self.next()?;
        let states = [SessionStatus::Ready, SessionStatus::Dropped].map(|status| {
            Ok(WatchSessionResponse {
                session: Some(session(status)),
            })
        });
        Ok(Response::new(futures::stream::iter(states).boxed()))
    }

    async fn heartbeat(&self, _: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        self.next()?;
        Ok(Response::new(HeartbeatResponse {
            status: proto::status_to(SessionStatus::Ready).into(),
            expires_at: ready().and_then(|session| session.expires_at),
        }))
    }

    async fn update_session(
        &self,
        request: Request<UpdateSessionRequest>,
    ) -> Result<Response<UpdateSessionResponse>, Status> {
        self.next()?;
        let changed = request.into_inner().tier.unwrap_or_default();
        let session = ready().map(|session| Session {
            tier: changed,
            ..session
        });
        Ok(Response::new(UpdateSessionResponse { session }))
    }

    async fn extend_session(
        &self,
        _: Request<ExtendSessionRequest>,
    ) -> Result<Response<ExtendSessionResponse>, Status> {
        Ok(Response::new(ExtendSessionResponse { session: ready() }))
    }

    async fn restart_session(
        &self,
        _: Request<RestartSessionRequest>,
    ) -> Result<Response<RestartSessionResponse>, Status> {
        Ok(Response::new(RestartSessionResponse { session: ready() }))
    }

    async fn end_session(&self, _: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        self.next()?;
        Ok(Response::new(EndSessionResponse { ended_now: true }))
    }

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        Ok(Response::new(ListSessionsResponse::default()))
    }
}

async fn started() -> Result<(Script, Studio)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let script = Script::default();
    let service = InterceptedService::new(SessionServiceServer::new(script.clone()), guard(Secret::new(SECRET)));
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    service::lifecycle::Lifecycle::new().spawn(async { server.await.expect("it serves") });
    Ok((script, Studio::at(&url, SECRET)?))
}

const TOKEN: &str = "a-token-of-the-clients-tests";

#[tokio::test]
async fn every_call_returns_what_the_control_plane_says() -> Result<()> {
    let (script, studio) = started().await?;
    let created = studio.create(&Creation::of(["lms"], "pro").in_currency("EUR")).await?;
    assert_eq!(
        (created.token.as_deref(), created.status),
        (Some(TOKEN), SessionStatus::Ready)
    );
    let sent = script.creations.lock().expect("not poisoned").remove(0);
    assert_eq!(
        (sent.selected_features, sent.currency),
        (vec!["lms".to_owned()], Some("EUR".to_owned()))
    );
    assert!(sent.idempotency_key.is_some());
    studio.get(TOKEN).await?;
    assert_eq!(studio.heartbeat(TOKEN).await?.status, SessionStatus::Ready);
    let change = Change {
        tier: Some("basic".to_owned()),
        features: None,
    };
    assert_eq!(studio.update(TOKEN, change.clone()).await?.tier, "basic");
    studio.extend(TOKEN).await?;
    studio.restart(TOKEN, change).await?;
    let states: Vec<_> = studio
        .watch(TOKEN)
        .await?
        .map(|state| state.map(|s| s.status).ok())
        .collect()
        .await;
    assert_eq!(states, [Some(SessionStatus::Ready), Some(SessionStatus::Dropped)]);
    assert!(studio.end(TOKEN).await?);
    Ok(())
}

#[tokio::test]
async fn what_is_away_is_asked_again_with_the_same_key() -> Result<()> {
    let (script, studio) = started().await?;
    script.say([
        Status::unavailable("starting"),
        Fault::unavailable(1, "the provisioner is away").into(),
    ]);
    let begun = Instant::now();
    studio.create(&Creation::of(["lms"], "pro")).await?;
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "as long as it was told to wait"
    );
    let creations = script.creations.lock().expect("not poisoned").clone();
    assert_eq!(creations.len(), 3);
    assert!(
        creations
            .iter()
            .all(|creation| creation.idempotency_key == creations[0].idempotency_key)
    );
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_told_at_once_with_code_fields_and_wait() -> Result<()> {
    let (script, studio) = started().await?;
    script.say([
        Fault::invalid(vec![Detail::new("tier", "must have 1 to 60 characters")]).into(),
        Fault::new(codes::RATE_LIMITED, "too many").retry_after(9).into(),
    ]);
    let Err(Error::Refused(refusal)) = studio.create(&Creation::of(["lms"], "")).await else {
        anyhow::bail!("must be refused")
    };
    assert_eq!((refusal.code.as_str(), refusal.fields.len()), ("VALIDATION_ERROR", 1));
    let Err(Error::Refused(refusal)) = studio.create(&Creation::of(["lms"], "pro")).await else {
        anyhow::bail!("must be refused")
    };
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(9)));
    assert_eq!(script.creations.lock().expect("not poisoned").len(), 2);
    let wrong = Studio::at("http://127.0.0.1:1", "another")?;
    assert!(matches!(
        wrong.within(Deadline(Duration::from_millis(200))).end(TOKEN).await,
        Err(Error::Unavailable(_))
    ));
    Ok(())
}

#[tokio::test]
async fn the_deadline_holds_over_all_repeats() -> Result<()> {
    let (script, studio) = started().await?;
    script.say((0..1_000).map(|_| Status::unavailable("away")));
    let begun = Instant::now();
    let result = studio.within(Deadline(Duration::from_millis(400))).get(TOKEN).await;
    assert!(matches!(result, Err(Error::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    result.err().context("an error").map(|_| ())
}
