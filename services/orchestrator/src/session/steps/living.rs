//! What happens to a session between its creation and its end.

use std::time::Duration;

use chrono::{DateTime, Utc};
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
        let session = self.look(key).await?;
        let session = self.settled(session, self.policy().patience).await?;
        match session.shown_status(self.now()) {
            SessionStatus::Ready => self.seed(&session, update).await?,
            // Nothing is there to be seeded yet; the preparation will read what is recorded now.
            SessionStatus::Pending if session.deferred => {}
            SessionStatus::Pending | SessionStatus::Provisioning => return Err(not_ready()),
            SessionStatus::Failed => return Err(failed()),
            SessionStatus::Dropped => return Err(over()),
        }
        match self.store().update(&Key::Id(session.id), update, self.now()).await? {
            Some(session) => Ok(session),
            None => Err(self.why_not(key).await?),
        }
    }

    async fn seed(&self, session: &Session, update: &Update) -> Result<(), Fault> {
        let Some(selection) = &update.selection else {
            return Ok(());
        };
        let known = module_ids(session);
        let wanted: Vec<String> = selection.modules.iter().map(|module| module.id.to_owned()).collect();
        if wanted.iter().all(|module| known.contains(module)) {
            return Ok(());
        }
        self.provisioner()
            .seed(session.id, wanted, session.currency.as_str())
            .await?;
        Ok(())
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
                "A session lives at most {} hours; this one ends at {}.",
                policy.max_lifetime.num_minutes() / 60,
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
        let limits = self.policy().limits;
        let begun = self
            .store()
            .begin_restart(session.id, update, limits.per_hour, self.now())
            .await?;
        let Some(session) = begun else {
            return Err(self.why_no_restart(&session).await?);
        };
        let (report, result) = oneshot::channel();
        let this = self.clone();
        let work = async move { this.keep_restarting(&session, report).await };
        self.lifecycle().spawn(work.instrument(tracing::Span::current()));
        result
            .await
            .unwrap_or_else(|_| Err(Fault::internal("a restart ended without a word")))
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
        if now.restarting_since.is_some() || now.status != SessionStatus::Ready {
            return Ok(not_ready());
        }
        let (network, policy) = (&session.client_network, self.policy());
        let wait = self.store().wait(Limit::Rate, network, policy, self.now()).await?;
        self.metrics().refused(Limit::Rate.code().name);
        Ok(Limit::Rate.refusal(&policy.limits, wait))
    }

    /// The part of a restart that may be repeated: the reconciler does, when a replica died in it.
    pub(crate) async fn finish_restart(&self, session: &Session) -> Result<Session, Fault> {
        let since = session.restarting_since.ok_or_else(not_ready)?;
        self.provisioner().drop_schema(session.id).await?;
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

    /// When a client should be warned that the session ends.
    #[must_use]
    pub fn warning_at(session: &Session) -> DateTime<Utc> {
        session.expires_at - chrono::TimeDelta::minutes(5)
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
    Fault::new(
        codes::INVALID_STATE,
        "The session could not be prepared. Start a new one.",
    )
}
