//! `OperatorService`, for operators.

use std::collections::HashMap;

use domain::SessionStatus;
use fault::{Fault, codes};
use futures::stream::{self, BoxStream, StreamExt};
use proto::{instant, timestamp, v1::*};
use tonic::{Code, Request, Response, Status};

use super::{Door, read, view};
use crate::{
    provisioner::Refusal,
    session::{Key, Session as Record, fields, steps::unknown},
};

/// The most ready slots that may be asked for.
const LARGEST_TARGET: u32 = 500;
/// Entries of a session's history that are shown, the oldest.
const MOST_HISTORY: usize = 5_000;

impl Door {
    /// The sessions with what the provisioner knows of them, if it answers.
    async fn operated(&self, sessions: Vec<Record>) -> Vec<OperatedSession> {
        let which = ListSchemasRequest {
            session_ids: sessions.iter().map(|session| session.id.to_string()).collect(),
            with_bytes: true,
            ..ListSchemasRequest::default()
        };
        let slots = if sessions.is_empty() {
            Ok(Vec::new())
        } else {
            self.sessions.provisioner().glance(which).await
        };
        let slots = slots.unwrap_or_else(|refusal| {
            tracing::info!(cause = %fault::chain(&Fault::from(refusal)), "sizes of schemas are unknown");
            Vec::new()
        });
        let sizes: HashMap<String, Option<i64>> = slots.into_iter().map(|slot| (slot.session_id, slot.bytes)).collect();
        let now = self.sessions.now();
        sessions
            .into_iter()
            .map(|session| {
                let bytes = sizes.get(&session.id.to_string()).copied().flatten();
                view::operated(session, bytes, &self.config.preview_frontend_url, now)
            })
            .collect()
    }
}

#[tonic::async_trait]
impl operator_service_server::OperatorService for Door {
    async fn list_sessions(
        &self,
        request: Request<OperatorServiceListSessionsRequest>,
    ) -> Result<Response<OperatorServiceListSessionsResponse>, Status> {
        let request = request.into_inner();
        let (statuses, size) = read::page(&request.statuses, request.page_size)?;
        let before = read::page_token(&request.page_token)?;
        let now = self.sessions.now();
        let found = self.sessions.store().list(&statuses, before, size, now).await;
        let found = found.map_err(Fault::from)?;
        let next_page_token = read::next_page(found.last().map(|last| last.id), found.len(), size);
        Ok(Response::new(OperatorServiceListSessionsResponse {
            sessions: self.operated(found).await,
            next_page_token,
        }))
    }

    async fn describe_session(
        &self,
        request: Request<DescribeSessionRequest>,
    ) -> Result<Response<DescribeSessionResponse>, Status> {
        let id = read::session_id(&request.into_inner().session_id)?;
        let store = self.sessions.store();
        let found = store.find(&Key::Id(id)).await.map_err(Fault::from)?;
        let session = found.ok_or_else(unknown)?;
        let history = store.history(id, 0, MOST_HISTORY).await.map_err(Fault::from)?;
        Ok(Response::new(DescribeSessionResponse {
            session: self.operated(vec![session]).await.pop(),
            transitions: history.iter().filter_map(view::transition).collect(),
            history: history.into_iter().map(view::happening).collect(),
        }))
    }

    async fn drop_session(
        &self,
        request: Request<DropSessionRequest>,
    ) -> Result<Response<DropSessionResponse>, Status> {
        let request = request.into_inner();
        let id = read::session_id(&request.session_id)?;
        let why = reason(&request.reason)?;
        let ended_now = self.sessions.end_by_operator(id, why.as_deref()).await?;
        Ok(Response::new(DropSessionResponse { ended_now }))
    }

    async fn drain_all(&self, request: Request<DrainAllRequest>) -> Result<Response<DrainAllResponse>, Status> {
        let request = request.into_inner();
        let why = reason(&request.reason)?;
        let until = match &request.created_until {
            None => self.sessions.now(),
            Some(at) => instant(at).ok_or_else(|| Fault::field("created_until", "must be an instant"))?,
        };
        let most = if request.most == 0 { u32::MAX } else { request.most };
        let drained = self.sessions.drain(why.as_deref(), until, most).await?;
        Ok(Response::new(DrainAllResponse {
            ended: drained.ended,
            remaining: drained.remaining,
            created_until: Some(timestamp(until)),
        }))
    }

    async fn pool_status(
        &self,
        _: Request<OperatorServicePoolStatusRequest>,
    ) -> Result<Response<OperatorServicePoolStatusResponse>, Status> {
        let status = self.sessions.provisioner().pool().await.map_err(refused)?;
        Ok(Response::new(OperatorServicePoolStatusResponse {
            status: Some(status),
        }))
    }

    async fn set_pool_target(
        &self,
        request: Request<OperatorServiceSetPoolTargetRequest>,
    ) -> Result<Response<OperatorServiceSetPoolTargetResponse>, Status> {
        let target = request.into_inner().target;
        if target > LARGEST_TARGET {
            return Err(Fault::field("target", format!("must be 0 to {LARGEST_TARGET}")).into());
        }
        let status = self.sessions.provisioner().set_pool_target(target).await;
        let status = Some(status.map_err(refused)?);
        Ok(Response::new(OperatorServiceSetPoolTargetResponse { status }))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        let store = self.sessions.store();
        let now = self.sessions.now();
        let counts = store.count(now).await.map_err(Fault::from)?;
        let hour_ago = now - chrono::TimeDelta::hours(1);
        let created_last_hour = store.created_since(hour_ago).await.map_err(Fault::from)?;
        let by_status = |status: SessionStatus| {
            let count = counts.get(&status).copied().unwrap_or_default();
            (status.as_str().to_owned(), count)
        };
        let pool = self.sessions.provisioner().pool().await;
        Ok(Response::new(StatsResponse {
            sessions_by_status: SessionStatus::ALL.into_iter().map(by_status).collect(),
            max_schemas: u32::try_from(self.sessions.policy().limits.max_schemas).unwrap_or(u32::MAX),
            pool: pool
                .map_err(|refusal| tracing::info!(cause = %fault::chain(&Fault::from(refusal)), "levels of the pool are unknown"))
                .ok(),
            created_last_hour,
        }))
    }

    async fn list_slots(&self, request: Request<ListSlotsRequest>) -> Result<Response<ListSlotsResponse>, Status> {
        let request = request.into_inner();
        let size = read::page(&[], request.page_size)?.1;
        let after = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| read::strange_page_token())?,
        };
        let which = ListSchemasRequest {
            after,
            most: i32::try_from(size).unwrap_or(i32::MAX),
            with_bytes: true,
            ..ListSchemasRequest::default()
        };
        let slots = self.sessions.provisioner().slots_of(which).await.map_err(refused)?;
        let next_page_token = match slots.last() {
            Some(last) if i64::try_from(slots.len()) == Ok(size) => last.id.to_string(),
            _ => String::new(),
        };
        Ok(Response::new(ListSlotsResponse { slots, next_page_token }))
    }

    async fn recycle_slot(
        &self,
        request: Request<OperatorServiceRecycleSlotRequest>,
    ) -> Result<Response<OperatorServiceRecycleSlotResponse>, Status> {
        let OperatorServiceRecycleSlotRequest { slot_id, schema_name } = request.into_inner();
        if schema_name.is_empty() {
            return Err(Fault::field("schema_name", "must be the slot's schema, as listed").into());
        }
        let begun = self.sessions.provisioner().recycle(slot_id, schema_name).await;
        let begun = begun.map_err(refused)?;
        Ok(Response::new(OperatorServiceRecycleSlotResponse { begun }))
    }

    type WatchHappeningsStream = BoxStream<'static, Result<WatchHappeningsResponse, Status>>;

    async fn watch_happenings(
        &self,
        request: Request<WatchHappeningsRequest>,
    ) -> Result<Response<Self::WatchHappeningsStream>, Status> {
        let after = match request.into_inner().after {
            0 => None,
            after if after > 0 => Some(after),
            _ => return Err(Fault::field("after", "must not be negative").into()),
        };
        let entries = self.sessions.happenings(after).await?;
        let begun = stream::iter([Ok(WatchHappeningsResponse { happening: None })]);
        let shown = entries.map(|entry| {
            Ok(WatchHappeningsResponse {
                happening: Some(view::happening(entry?)),
            })
        });
        Ok(Response::new(Box::pin(begun.chain(shown))))
    }
}

fn reason(text: &str) -> Result<Option<String>, Fault> {
    fields::reason(text).map_err(|must| Fault::field("reason", must))
}

/// What the provisioner says of a slot is said to the operator too.
fn refused(refusal: Refusal) -> Fault {
    match &refusal {
        Refusal::Missing(status) => Fault::new(codes::NOT_FOUND, status.message().to_owned()),
        Refusal::Final(status) if status.code() == Code::FailedPrecondition => {
            Fault::new(codes::INVALID_STATE, status.message().to_owned())
        }
        Refusal::Passing(..) | Refusal::Final(_) => refusal.into(),
    }
}
