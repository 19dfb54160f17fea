//! Traffic of sessions, told to the control plane in batches: it counts as a heartbeat.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use chrono::{DateTime, Utc};
use domain::SessionId;
use proto::v1::{Activity as Wire, ReportActivityRequest};
use tonic::Request;

use super::directory::Client;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(10);
/// How long the control plane may take: the last report must not hold up the end of the process.
const DEADLINE: Duration = Duration::from_secs(2);
/// Sessions in one call.
const BATCH: usize = 1000;

/// The last traffic of each session since the last report.
#[derive(Debug, Default)]
pub struct Activity(Mutex<HashMap<SessionId, DateTime<Utc>>>);

impl Activity {
    /// Notes a request.
    pub fn note(&self, session: SessionId, at: DateTime<Utc>) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(session, at);
    }

    fn take(&self) -> HashMap<SessionId, DateTime<Utc>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn put_back(&self, rest: impl IntoIterator<Item = (SessionId, DateTime<Utc>)>) {
        let mut noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (session, at) in rest {
            noted.entry(session).or_insert(at);
        }
    }

    /// Reports what was noted; what could not be told is kept for the next time.
    pub async fn report(&self, client: &Client) {
        let noted: Vec<_> = self.take().into_iter().collect();
        for batch in noted.chunks(BATCH) {
            let activities = batch
                .iter()
                .map(|(session, at)| Wire {
                    session_id: session.to_string(),
                    at: Some(proto::timestamp(*at)),
                })
                .collect();
            let mut request = Request::new(ReportActivityRequest { activities });
            request.set_timeout(DEADLINE);
            if let Err(status) = client.clone().report_activity(request).await {
                tracing::debug!(%status, "activity could not be reported");
                self.put_back(batch.iter().copied());
            }
        }
    }

    /// Reports until the process stops, and once more then.
    pub async fn run(&self, client: &Client, lifecycle: &service::lifecycle::Lifecycle) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => self.report(client).await,
                () = lifecycle.clone().stopping() => return self.report(client).await,
            }
        }
    }
}
