//! `SessionService`, for the studio's backend.

use fault::Fault;
use futures::stream::BoxStream;
use proto::{status_to, timestamp, v1::*};
use tonic::{Request, Response, Status};

use super::{Door, read, view};
use crate::session::{Key, Session as Record, state::reason::ENDED};

impl Door {
    fn show(&self, session: Record, key: &Key) -> Session {
        tracing::Span::current().record("session.id", tracing::field::display(session.id));
        let frontend = &self.config.preview_frontend_url;
        view::session(session, key.token(), frontend, self.sessions.now())
    }
}

#[tonic::async_trait]
impl session_service_server::SessionService for Door {
    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<CreateSessionResponse>, Status> {
        let request = read::creation(request)?;
        let creation = self.sessions.create(request).await.map_err(Fault::from)?;
        let replayed = creation.replayed;
        let session = self.show(creation.session, &Key::Token(creation.token));
        Ok(Response::new(CreateSessionResponse {
            session: Some(session),
            replayed,
        }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<GetSessionResponse>, Status> {
        let key = read::key(request.into_inner().session)?;
        let session = self.sessions.look(&key).await?;
        Ok(Response::new(GetSessionResponse {
            session: Some(self.show(session, &key)),
        }))
    }

    type WatchSessionStream = BoxStream<'static, Result<WatchSessionResponse, Status>>;

    async fn watch_session(
        &self,
        request: Request<WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        let key = read::key(request.into_inner().session)?;
        let door = self.clone();
        let states = self.sessions.watch(&key).await?;
        let shown = futures::StreamExt::map(states, move |state| {
            Ok(WatchSessionResponse {
                session: Some(door.show(state?, &key)),
            })
        });
        Ok(Response::new(Box::pin(shown)))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        let key = read::key(request.into_inner().session)?;
        let session = self.sessions.heartbeat(&key).await?;
        Ok(Response::new(HeartbeatResponse {
            status: status_to(session.shown_status(self.sessions.now())).into(),
            expires_at: Some(timestamp(session.expires_at)),
        }))
    }

    async fn update_session(
        &self,
        request: Request<UpdateSessionRequest>,
    ) -> Result<Response<UpdateSessionResponse>, Status> {
        let request = request.into_inner();
        let key = read::key(request.session)?;
        let update = read::update(request.features.as_ref(), request.tier.as_deref())?;
        let session = self.sessions.update(&key, &update).await?;
        Ok(Response::new(UpdateSessionResponse {
            session: Some(self.show(session, &key)),
        }))
    }

    async fn extend_session(
        &self,
        request: Request<ExtendSessionRequest>,
    ) -> Result<Response<ExtendSessionResponse>, Status> {
        let key = read::key(request.into_inner().session)?;
        let session = self.sessions.extend(&key).await?;
        Ok(Response::new(ExtendSessionResponse {
            session: Some(self.show(session, &key)),
        }))
    }

    async fn restart_session(
        &self,
        request: Request<RestartSessionRequest>,
    ) -> Result<Response<RestartSessionResponse>, Status> {
        let request = request.into_inner();
        let key = read::key(request.session)?;
        let update = read::update(request.features.as_ref(), request.tier.as_deref())?;
        let session = self.sessions.restart(&key, &update).await?;
        Ok(Response::new(RestartSessionResponse {
            session: Some(self.show(session, &key)),
        }))
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        let key = read::key(request.into_inner().session)?;
        let ended_now = self.sessions.end(&key, ENDED).await?;
        Ok(Response::new(EndSessionResponse { ended_now }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let request = request.into_inner();
        let (statuses, size) = read::page(&request.statuses, request.page_size)?;
        let before = read::page_token(&request.page_token)?;
        let now = self.sessions.now();
        let found = self.sessions.store().list(&statuses, before, size, now).await;
        let found = found.map_err(Fault::from)?;
        let next_page_token = read::next_page(found.last().map(|last| last.id), found.len(), size);
        let frontend = &self.config.preview_frontend_url;
        let sessions = found
            .into_iter()
            .map(|session| view::session(session, None, frontend, now))
            .collect();
        Ok(Response::new(ListSessionsResponse {
            sessions,
            next_page_token,
        }))
    }
}
