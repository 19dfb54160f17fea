//! What happens to a session between its creation and its end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::SessionStatus;
use fault::{Fault, codes};
use tokio::{sync::oneshot, time::Instant};
use tracing::Instrument;

use super::{Sessions, over, unknown};
use crate::{
    provisioner::{Refusal, module_ids},
    session::{Key, Session, Update, limits::Limit, store::Seen},
};

/// How long one replica keeps trying to finish a restart: less than another one leaves it alone.
const PERSISTENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

impl Sessions {
    /// Counts as traffic.
    ///
    /// # Errors
    /// 404 when there never was such a session, 410 when it is over, 503 when the database is away.
    pub async fn heartbeat(&self, key: &Key) -> Result<Session, Fault> {
        let Some(session) = self.store().touch(key, self.now()).await? else {
            return Err(self.why_not(key).await?);
        };
        self.want(&session).await?;
        Ok(session)
    }

    /// Notes traffic of many sessions; how many it moved.
    ///
    /// # Errors
    /// 503 when the database is away.
    pub async fn note(&self, seen: &[Seen]) -> Result<u64, Fault> {
        Ok(self.store().note(seen, self.now()).await?)
    }

    /// Changes features and tier in place: modules met for the first time are seeded before their routes open.
    ///
    /// # Errors
    /// 404, 410, 409 for a FAILED session, 503 while it is being prepared, or when the provisioner is away.
    pub async fn update(&self, key: &Key, update: &Update) -> Result<Session, Fault> {
        if update.is_empty() {
            return self.heartbeat(key).await;
        }
        let deadline = Instant::now() + self.policy().patience;
        loop {
            let session = self.look(key).await?;
            let patience = deadline.saturating_duration_since(Instant::now());
            let session = self.settled(session, patience).await?;
            if let Some(updated) = self.try_to_update(&session, update).await? {
                return Ok(updated);
            }
            // It changed since it was looked at, and perhaps has another schema: what was seeded may not be there.
            if Instant::now() >= deadline {
                return Err(self.why_not(key).await?);
            }
        }
    }

    /// `None` when the session is not what was `seen` any more.
    async fn try_to_update(&self, seen: &Session, update: &Update) -> Result<Option<Session>, Fault> {
        match seen.shown_status(self.now()) {
            SessionStatus::Ready if !self.seed(seen, update).await? => return Ok(None),
            // Of what is not prepared yet nothing is to be seeded; the preparation will read what is recorded now.
            SessionStatus::Ready => {}
            SessionStatus::Pending if seen.deferred => {}
            SessionStatus::Pending | SessionStatus::Provisioning => return Err(not_ready()),
            SessionStatus::Failed => return Err(failed()),
            SessionStatus::Dropped => return Err(over()),
        }
        Ok(self.store().update(seen, update, self.now()).await?)
    }

    /// Seeds modules met for the first time; `false` when the schema is not there any more.
    async fn seed(&self, session: &Session, update: &Update) -> Result<bool, Fault> {
        let Some(selection) = &update.selection else {
            return Ok(true);
        };
        let known = module_ids(session);
        let wanted: Vec<String> = selection.modules.iter().map(|module| module.id.to_owned()).collect();
        if wanted.iter().all(|module| known.contains(module)) {
            return Ok(true);
        }
        let currency = session.currency.as_str();
        match self.provisioner().seed(session.id, wanted, currency).await {
            Ok(_) => Ok(true),
            Err(Refusal::Missing(_)) => {
                self.lose(session.id, session.generation).await?;
                Ok(false)
            }
            Err(refusal @ (Refusal::Passing(..) | Refusal::Final(_))) => Err(refusal.into()),
        }
    }

    /// Moves the end to now + TTL, at most so far as a session may live.
    ///
    /// # Errors
    /// 409 at the maximum, 404, 410, 503.
    pub async fn extend(&self, key: &Key) -> Result<Session, Fault> {
        let policy = self.policy();
        let extended = self
            .store()
            .extend(key, policy.ttl, policy.max_lifetime, self.now())
            .await?;
        if let Some(session) = extended {
            self.want(&session).await?;
            return Ok(session);
        }
        let session = self.look(key).await?;
        Err(Fault::new(
            codes::MAX_LIFETIME_REACHED,
            format!(
                "A session lives at most {}; this one ends at {}.",
                in_words(policy.max_lifetime),
                session.expires_at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
        ))
    }

    /// Gives the session a fresh schema, with other features if `update` says so; id and token stay, the old schema
    /// and all in it go. It is finished also when the caller hangs up.
    ///
    /// # Errors
    /// 404, 410, 409 for a FAILED session, 503 while it is being prepared, or when the provisioner is away (then the
    /// restart is finished later).
    pub async fn restart(&self, key: &Key, update: &Update) -> Result<Session, Fault> {
        let session = self.look(key).await?;
        let session = self.settled(session, self.policy().patience).await?;
        let key = Key::Id(session.id);
        match session.shown_status(self.now()) {
            SessionStatus::Ready => {}
            SessionStatus::Pending if session.deferred => {
                let session = self.update(&key, update).await?;
                self.want(&session).await?;
                return self.settled(session, self.policy().patience).await;
            }
            SessionStatus::Pending | SessionStatus::Provisioning => return Err(not_ready()),
            SessionStatus::Failed => return Err(failed()),
            SessionStatus::Dropped => return Err(over()),
        }
        // Nothing is taken away while nothing can be given.
        if !self.provisioner().is_reachable().await {
            return Err(Fault::unavailable(2, "the provisioner is away"));
        }
        let (report, result) = oneshot::channel();
        let (this, update) = (self.clone(), update.clone());
        // Its beginning too: what is on its way to the database takes effect also when nobody waits any more.
        let work = async move {
            match this.begin_restart(&session, &update).await {
                Ok(session) => this.keep_restarting(&session, report).await,
                Err(fault) => drop(report.send(Err(fault))),
            }
        };
        self.lifecycle().spawn(work.instrument(tracing::Span::current()));
        result
            .await
            .unwrap_or_else(|_| Err(Fault::internal("a restart ended without a word")))
    }

    async fn begin_restart(&self, session: &Session, update: &Update) -> Result<Session, Fault> {
        let rate = self.policy().limits.per_hour;
        let begun = self.store().begin_restart(session.id, update, rate, self.now()).await?;
        match begun {
            Some(session) => Ok(session),
            None => Err(self.why_no_restart(session).await?),
        }
    }

    /// Finishes a restart; `report` hears how the first attempt went. Ends before another replica takes it up.
    async fn keep_restarting(&self, session: &Session, report: oneshot::Sender<Result<Session, Fault>>) {
        let until = Instant::now() + PERSISTENCE;
        let first = self.finish_restart(session).await;
        let mut goes_on = first.as_ref().is_err_and(is_passing);
        let _ = report.send(first);
        while goes_on && Instant::now() < until {
            tokio::select! {
                () = self.lifecycle().clone().stopping() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            goes_on = self.finish_restart(session).await.as_ref().is_err_and(is_passing);
        }
    }

    async fn why_no_restart(&self, session: &Session) -> Result<Fault, Fault> {
        let now = self.look(&Key::Id(session.id)).await?;
        // Another restart may have begun, and may be over by now.
        let other = now.restarting_since.is_some() || now.generation != session.generation;
        if other || now.status != SessionStatus::Ready {
            return Ok(not_ready());
        }
        let (network, policy) = (&session.client_network, self.policy());
        let now = self.now();
        let wait = self.store().wait(Limit::Rate, network, policy, now, now).await?;
        self.metrics().refused(Limit::Rate.code().name);
        Ok(Limit::Rate.refusal(&policy.limits, wait))
    }

    /// The part of a restart that may be repeated: the reconciler does, when a replica died in it.
    pub(crate) async fn finish_restart(&self, session: &Session) -> Result<Session, Fault> {
        let since = session.restarting_since.ok_or_else(not_ready)?;
        self.provisioner().drop_former_schema(session).await?;
        let provisioned = self
            .provisioner()
            .provision(session)
            .await
            .map_err(|refusal| match refusal {
                refusal @ Refusal::Passing(..) => refusal.into(),
                refusal @ (Refusal::Missing(_) | Refusal::Final(_)) => Fault::unavailable(5, refusal),
            })?;
        let finished = self
            .store()
            .finish_restart(session.id, since, &provisioned.place, self.now())
            .await?;
        if let Some(session) = finished {
            return Ok(session);
        }
        // It ended meanwhile, or another replica finished it: then the schema is the one that it made.
        let session = self.store().find(&Key::Id(session.id)).await?.ok_or_else(unknown)?;
        if session.status.is_live() {
            Ok(session)
        } else {
            self.take_away(session.id).await;
            Err(over())
        }
    }

    /// Why a session that is not over could not be changed.
    async fn why_not(&self, key: &Key) -> Result<Fault, Fault> {
        let session = self.look(key).await?;
        Ok(match session.status {
            SessionStatus::Failed => failed(),
            SessionStatus::Pending | SessionStatus::Provisioning | SessionStatus::Ready | SessionStatus::Dropped => {
                not_ready()
            }
        })
    }

    /// When the session ends if nothing else happens: it expires, or is idle for too long.
    #[must_use]
    pub fn end_of(&self, session: &Session) -> DateTime<Utc> {
        session.expires_at.min(session.last_accessed_at + self.policy().idle)
    }
}

/// A time of some size, rounded.
fn in_words(time: TimeDelta) -> String {
    match (time.num_minutes(), time.num_seconds()) {
        (0..=1, seconds) => format!("{seconds} seconds"),
        (minutes @ 2..=119, _) => format!("{minutes} minutes"),
        (minutes, _) => format!("{} hours", (minutes as f64 / 6.0).round() / 10.0),
    }
}

fn is_passing(fault: &Fault) -> bool {
    fault.code() == codes::UNAVAILABLE
}

fn not_ready() -> Fault {
    Fault::new(
        codes::SESSION_NOT_READY,
        "The session is being prepared. Try again in a moment.",
    )
    .retry_after(1)
}

fn failed() -> Fault {
    Fault::new(codes::INVALID_STATE, "The session has failed. Start a new one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longest_life_is_told_in_a_unit_of_its_size() {
        for (time, words) in [
            (TimeDelta::hours(24), "24 hours"),
            (TimeDelta::minutes(150), "2.5 hours"),
            (TimeDelta::minutes(6), "6 minutes"),
            (TimeDelta::seconds(30), "30 seconds"),
        ] {
            assert_eq!(in_words(time), words);
        }
    }
}
