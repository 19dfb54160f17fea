//! Makes the world match the records: every interval one replica ends what is due, finishes what was left behind, and
//! has schemas without a session taken away. What it does may be done twice without harm.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::SessionId;
use fault::Fault;
use proto::v1::SlotState;
use tokio::time::Instant;
use tracing::Instrument;

use super::steps::Sessions;
use crate::database::Trouble;

/// A schema that no session owns is left alone for so long, since somebody may just be taking it away. With one round
/// more it is gone within a minute.
const GRACE: TimeDelta = TimeDelta::seconds(20);
/// Sessions taken up in one round.
const MOST_RESUMED: i64 = 100;
/// Connections that idled for so long are closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// Whoever holds this lock leads.
const LEAD: &str = "SELECT pg_try_advisory_xact_lock(x'6c705f726563'::bigint)";

/// The reconciler of one replica.
pub struct Reconciler {
    sessions: Sessions,
    interval: Duration,
    /// Orphans and when this replica first saw them.
    orphans: HashMap<SessionId, DateTime<Utc>>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Sessions whose time was over.
    pub ended: usize,
    /// Schemas that the provisioner still owed to take away.
    pub dropped: usize,
    /// Preparations and restarts that were taken up.
    pub resumed: usize,
    /// Schemas that no session owned.
    pub orphans: usize,
    /// READY sessions whose schema was gone.
    pub lost: usize,
}

impl Reconciler {
    /// A reconciler that works every `interval`.
    #[must_use]
    pub fn new(sessions: Sessions, interval: Duration) -> Self {
        Self {
            sessions,
            interval,
            orphans: HashMap::new(),
        }
    }

    /// Works until the process stops; the first round is at once, since a start may follow a crash.
    pub async fn run(mut self) {
        loop {
            let span = tracing::info_span!("session.reconcile");
            match self.round().instrument(span).await {
                Ok(Some(round)) if round != Round::default() => tracing::info!(?round, "reconciled"),
                Ok(_) => {}
                Err(fault) => tracing::warn!(cause = %fault::chain(&fault), "the reconciler was interrupted"),
            }
            self.sessions
                .store()
                .pool()
                .retain(|_, metrics| metrics.last_used() < IDLE_CONNECTION);
            tokio::select! {
                () = self.sessions.lifecycle().clone().stopping() => return,
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    /// One round; `None` when another replica leads.
    ///
    /// # Errors
    /// When the database is away. What was done is done.
    pub async fn round(&mut self) -> Result<Option<Round>, Fault> {
        let counts = self.sessions.store().count(self.sessions.now()).await?;
        self.sessions.metrics().counted(&counts);
        let mut client = self.sessions.store().pool().get().await.map_err(Trouble::from)?;
        // The lock lives as long as this transaction, and ends with the connection of a replica that dies.
        let lead = client.transaction().await.map_err(Trouble::from)?;
        let leads: bool = lead.query_one(LEAD, &[]).await.map_err(Trouble::from)?.get(0);
        if !leads {
            return Ok(None);
        }
        let started = Instant::now();
        let round = self.lead().await;
        lead.commit().await.map_err(Trouble::from)?;
        self.sessions.metrics().round(started.elapsed());
        round.map(Some)
    }

    async fn lead(&mut self) -> Result<Round, Fault> {
        let mut round = Round {
            ended: self.sessions.end_due().await?,
            ..Round::default()
        };
        round.resumed = self.sessions.resume_stuck(MOST_RESUMED).await?;
        // Without the provisioner none of this can be done, and nothing can be told from its silence.
        if self.sessions.provisioner().is_reachable().await {
            round.dropped = self.sessions.drop_due().await?;
            self.compare(&mut round).await?;
        }
        // Nobody waits for it, so it holds up nothing.
        if let Err(error) = self.sessions.store().purge(self.sessions.now()).await {
            tracing::warn!(cause = %fault::chain(&Fault::from(error)), "old records stay for now");
        }
        Ok(round)
    }

    /// Compares records with slots.
    async fn compare(&mut self, round: &mut Round) -> Result<(), Fault> {
        // Read before the slots: what becomes READY in between has a slot that is not in doubt.
        let settled = self.sessions.store().settled().await?;
        let slots = match self.sessions.provisioner().slots().await {
            Ok(slots) => slots,
            Err(error) => {
                tracing::warn!(cause = %fault::chain(&Fault::from(error)), "slots cannot be compared with sessions");
                return Ok(());
            }
        };
        let claimed: HashSet<SessionId> = slots
            .iter()
            .filter(|slot| slot.state() == SlotState::Claimed)
            .filter_map(|slot| slot.session_id.parse().ok())
            .collect();
        round.lost = self.lose(&settled, &claimed).await?;
        round.orphans = self.drop_orphans(&claimed).await?;
        Ok(())
    }

    /// READY sessions without a slot have failed.
    async fn lose(&self, settled: &HashMap<SessionId, i64>, claimed: &HashSet<SessionId>) -> Result<usize, Fault> {
        let mut lost = 0;
        for (id, generation) in settled.iter().filter(|(id, _)| !claimed.contains(id)) {
            // Not of those that were restarted since the records were read: their slot is new as well.
            lost += usize::from(self.sessions.lose(*id, *generation).await?);
        }
        Ok(lost)
    }

    async fn drop_orphans(&mut self, claimed: &HashSet<SessionId>) -> Result<usize, Fault> {
        let ids: Vec<SessionId> = claimed.iter().copied().collect();
        let rightful = self.sessions.store().rightful(&ids).await?;
        let now = self.sessions.now();
        self.orphans
            .retain(|id, _| claimed.contains(id) && !rightful.contains(id));
        let mut dropped = 0;
        for id in ids.into_iter().filter(|id| !rightful.contains(id)) {
            let seen = *self.orphans.entry(id).or_insert(now);
            if now - seen < GRACE {
                continue;
            }
            tracing::warn!(session.id = %id, "a schema without a session is taken away");
            match self.sessions.provisioner().drop_schema(id).await {
                Ok(_) => {
                    self.sessions.metrics().orphan();
                    self.orphans.remove(&id);
                    dropped += 1;
                }
                Err(error) => {
                    tracing::warn!(session.id = %id, cause = %fault::chain(&Fault::from(error)), "an orphan stays for now");
                }
            }
        }
        Ok(dropped)
    }
}
