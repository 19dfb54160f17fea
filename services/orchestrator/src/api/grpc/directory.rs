//! `TenantDirectory`, for the data plane.

use std::time::Duration;

use domain::TokenHash;
use fault::Fault;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use proto::{
    instant,
    v1::{
        ReportActivityRequest, ReportActivityResponse, ResolveTenantRequest, ResolveTenantResponse,
        WatchInvalidationsRequest, WatchInvalidationsResponse, resolve_tenant_request::By,
        tenant_directory_server::TenantDirectory,
    },
};
use tokio::{sync::broadcast::error::RecvError, time::timeout};
use tonic::{Request, Response, Status};

use super::{Door, view};
use crate::session::{Key, steps, store::Seen};

/// Most sessions of one report.
const MOST_ACTIVITIES: usize = 1_000;
/// A quiet stream shows in this time that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl TenantDirectory for Door {
    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        let key = key(request.into_inner().by)?;
        let session = self.sessions.find(&key).await?.ok_or_else(steps::unknown)?;
        tracing::Span::current().record("session.id", tracing::field::display(session.id));
        Ok(Response::new(ResolveTenantResponse {
            tenant: Some(view::tenant(session, self.sessions.now())),
        }))
    }

    type WatchInvalidationsStream = BoxStream<'static, Result<WatchInvalidationsResponse, Status>>;

    async fn watch_invalidations(
        &self,
        _: Request<WatchInvalidationsRequest>,
    ) -> Result<Response<Self::WatchInvalidationsStream>, Status> {
        let changes = self.sessions.changes().clone();
        let (sequence, notices) = changes.subscribe();
        let message = |sequence, hash: Option<TokenHash>| WatchInvalidationsResponse {
            sequence,
            token_hash: hash.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        };
        let behind = stream::unfold((notices, sequence), move |(mut notices, mut sequence)| async move {
            let next = match timeout(KEEP_ALIVE, notices.recv()).await {
                Ok(Ok(notice)) => {
                    sequence = notice.sequence;
                    message(sequence, notice.hash)
                }
                Err(_) => message(sequence, None),
                // The next notice leaves a gap in the sequence, by which the reader notices.
                Ok(Err(RecvError::Lagged(_))) => message(sequence, None),
                Ok(Err(RecvError::Closed)) => return None,
            };
            Some((Ok(next), (notices, sequence)))
        });
        let all = stream::iter([Ok(message(sequence, None))]).chain(behind);
        Ok(Response::new(Box::pin(self.sessions.lifecycle().follow(all))))
    }

    async fn report_activity(
        &self,
        request: Request<ReportActivityRequest>,
    ) -> Result<Response<ReportActivityResponse>, Status> {
        let activities = request.into_inner().activities;
        if activities.len() > MOST_ACTIVITIES {
            return Err(Fault::field("activities", format!("must hold at most {MOST_ACTIVITIES}")).into());
        }
        let seen: Vec<Seen> = activities
            .iter()
            .filter_map(|activity| {
                Some(Seen {
                    id: activity.session_id.parse().ok()?,
                    at: instant(activity.at.as_ref()?)?,
                })
            })
            .collect();
        let noted = self.sessions.note(&seen).await?;
        Ok(Response::new(ReportActivityResponse {
            noted: u32::try_from(noted).unwrap_or(u32::MAX),
        }))
    }
}

fn key(by: Option<By>) -> Result<Key, Fault> {
    let malformed = |field, must: &str| Fault::field(field, must);
    match by {
        None => Err(malformed("by", "must name a tenant")),
        Some(By::Token(token)) => token
            .parse()
            .map(Key::Token)
            .map_err(|error: domain::NotAToken| Fault::new(fault::codes::INVALID_TOKEN, error.to_string())),
        Some(By::SessionId(id)) => id
            .parse()
            .map(Key::Id)
            .map_err(|_| malformed("session_id", "must be a UUID")),
        Some(By::TokenHash(hash)) => TokenHash::from_bytes(&hash)
            .map(Key::Hash)
            .ok_or_else(|| malformed("token_hash", "must have 32 bytes")),
    }
}
