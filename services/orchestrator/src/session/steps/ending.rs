//! The end of sessions, which is also the undo of their creation: recorded and told first, so that the data plane
//! refuses at once, then the provisioner takes the schema away. When it cannot, the record remembers.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, SessionStatus};
use fault::Fault;
use futures::{StreamExt, stream};

use super::Sessions;
use crate::session::{
    Failure, Key,
    state::reason::{EXPIRED, IDLE, LOST},
    store::Ended,
};

/// How long a replica listens at most before it calls a session idle. The data plane reports every 10 s.
const HEARING: TimeDelta = TimeDelta::seconds(60);
/// Sessions ended in one transaction.
pub(super) const BATCH: i64 = 200;
/// Drops asked of the provisioner at a time.
const DROPS_AT_A_TIME: usize = 2;

impl Sessions {
    /// Ends a session; `false` when there is none, or it is over already.
    ///
    /// # Errors
    /// 503 when the database is away. The provisioner may be: then the reconciler finishes.
    pub async fn end(&self, key: &Key, reason: &'static str) -> Result<bool, Fault> {
        self.end_recorded(key, reason, reason).await
    }

    /// The same with a reason in anybody's words, which is recorded, and one of ours, which is counted.
    pub(super) async fn end_recorded(&self, key: &Key, reason: &str, counted: &'static str) -> Result<bool, Fault> {
        let Some(session) = self.store().end(key, reason, self.now()).await? else {
            return Ok(false);
        };
        tracing::info!(session.id = %session.id, reason, "a session ended");
        self.metrics().stepped(SessionStatus::Dropped, counted);
        self.take_away(session.id).await;
        Ok(true)
    }

    /// A READY session whose schema the provisioner does not have has failed. `false` when it is not of that `generation`
    /// any more: then its schema is another one.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn lose(&self, id: SessionId, generation: i64) -> Result<bool, Fault> {
        let failure = Failure {
            code: "SCHEMA_LOST".to_owned(),
            message: "The preview and all in it are gone. Start a new session; if it happens again, tell us its id."
                .to_owned(),
        };
        let lost = self.store().lose((id, generation), &failure, LOST, self.now()).await?;
        let Some(session) = lost else { return Ok(false) };
        tracing::error!(session.id = %id, "the schema of a READY session is gone");
        self.metrics().stepped(session.status, LOST);
        self.take_away(id).await;
        Ok(true)
    }

    /// Ends every session whose time is over; their schemas are left to [`Self::drop_due`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_due(&self) -> Result<usize, Fault> {
        let mut ended = 0;
        loop {
            let now = self.now();
            let batch = self.store().end_due(now, self.silent_since(now), BATCH).await?;
            for Ended { id, idle } in &batch {
                let reason = if *idle { IDLE } else { EXPIRED };
                tracing::info!(session.id = %id, reason, "a session ended");
                self.metrics().stepped(SessionStatus::Dropped, reason);
            }
            ended += batch.len();
            if batch.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                return Ok(ended);
            }
        }
    }

    /// Without traffic since then a session is idle. None is, as long as reports that waited for a control plane that was
    /// away may still be coming in.
    fn silent_since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if self.listens_until(now) > now {
            DateTime::UNIX_EPOCH
        } else {
            now - self.policy().idle
        }
    }

    /// Until then this replica calls no session idle.
    pub(super) fn listens_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let until = self.0.started + HEARING.min(self.policy().idle);
        // A clock that was set back since is no reason to wait for longer.
        if now < self.0.started { now } else { until }
    }

    /// Has the provisioner take away what it still owes; how many of them it did.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn drop_due(&self) -> Result<usize, Fault> {
        let (mut done, mut after) = (0, None);
        loop {
            let owed = self.store().drops_due(after, BATCH).await?;
            let Some(&last) = owed.last() else {
                return Ok(done);
            };
            let gone: Vec<SessionId> = stream::iter(owed)
                .map(|id| {
                    let provisioner = self.provisioner().clone();
                    async move { provisioner.drop_schema(id).await.is_ok().then_some(id) }
                })
                .buffer_unordered(DROPS_AT_A_TIME)
                .filter_map(std::future::ready)
                .collect()
                .await;
            self.store().gone(&gone).await?;
            done += gone.len();
            // A few that failed come again in the next round; when all did, the provisioner has gone.
            if gone.is_empty() {
                return Ok(done);
            }
            after = Some(last);
        }
    }

    /// Has the provisioner take a schema away and notes it; when that fails, the reconciler will.
    pub(super) async fn take_away(&self, id: SessionId) {
        match self.provisioner().drop_schema(id).await {
            Ok(_) => {
                if let Err(error) = self.store().gone(&[id]).await {
                    tracing::warn!(session.id = %id, error = %fault::chain(&error), "a drop was not noted; it is repeated");
                }
            }
            Err(error) => {
                tracing::warn!(session.id = %id, cause = %fault::chain(&Fault::from(error)), "a schema waits for its drop");
            }
        }
    }
}
