//! From PENDING to READY: the provisioner is asked until it answers, or the reconciler's turn comes.

use std::time::Duration;

use chrono::TimeDelta;
use domain::SessionStatus;
use fault::Fault;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use super::{Sessions, creation::Progress, is_being_prepared};
use crate::{
    provisioner::Refusal,
    session::{
        Failure, Key, Session,
        state::reason::{COLD, REFUSED, REQUESTED, WARM},
    },
};

/// How long one replica keeps trying; then the reconciler of any replica does.
const PERSISTENCE: Duration = Duration::from_secs(30);
/// After this time without an attempt another replica may take a session up.
const LEASE: TimeDelta = TimeDelta::seconds(15);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

enum Attempt {
    /// READY, FAILED or over: nothing is left to do; or another one has begun.
    Settled(Box<Session>),
    /// The provisioner or the database is away.
    Away(Fault),
    /// There is no record of it any more: the database crashed before it was safe on its disk.
    Lost,
}

impl Sessions {
    /// Starts the preparation of a deferred session that somebody asks for.
    pub(super) async fn want(&self, session: &Session) -> Result<(), Fault> {
        if session.deferred
            && session.status == SessionStatus::Pending
            && let Some(session) = self.store().want(session.id).await?
        {
            self.resume(session);
        }
        Ok(())
    }

    /// Prepares a session in the background.
    pub(super) fn resume(&self, session: Session) {
        let this = self.clone();
        let span = tracing::info_span!("session.prepare", session.id = %session.id);
        self.lifecycle()
            .spawn(async move { this.prepare(session, None).await }.instrument(span));
    }

    /// Prepares a session; `report` hears how it ends, or that it takes longer because a part is away.
    pub(super) async fn prepare(&self, mut session: Session, report: Option<&mpsc::Sender<Progress>>) {
        let until = Instant::now() + PERSISTENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.attempt(&session).await {
                Attempt::Lost => {
                    if let Some(report) = report {
                        let lost = Fault::unavailable(1, "the record of a session is gone");
                        let _ = report.send(Progress::Away(lost)).await;
                    }
                    return;
                }
                Attempt::Settled(begun) if is_being_prepared(&begun) => {
                    session = *begun;
                    continue;
                }
                Attempt::Settled(settled) => {
                    let hash = settled.token_hash;
                    if let Some(report) = report {
                        let _ = report.send(Progress::Settled(*settled)).await;
                    }
                    // Watchers may learn of it a moment after the caller who waits for it.
                    if let Err(error) = self.store().announce(&hash).await {
                        tracing::warn!(error = %fault::chain(&error), "a prepared session was not announced");
                    }
                    return;
                }
                Attempt::Away(fault) => {
                    if let Some(report) = report {
                        let _ = report.send(Progress::Away(fault)).await;
                    } else {
                        tracing::warn!(cause = %fault::chain(&fault), "a session cannot be prepared yet");
                    }
                }
            }
            tokio::select! {
                () = self.lifecycle().clone().stopping() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if Instant::now() > until {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Ok(Some(found)) = self.store().find(&Key::Id(session.id)).await {
                session = found;
            }
        }
    }

    /// Takes up what a replica left behind: preparations and restarts that nobody has touched for a while.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn resume_stuck(&self, most: i64) -> Result<usize, Fault> {
        let now = self.now();
        let stuck = self.store().take_stuck(now, now - LEASE, most).await?;
        let restarts = self.store().take_stuck_restarts(now, now - LEASE, most).await?;
        let count = stuck.len() + restarts.len();
        for session in stuck {
            self.resume(session);
        }
        for session in restarts {
            self.resume_restart(session);
        }
        Ok(count)
    }

    /// Finishes a restart in the background; when that cannot be done either, the next round takes it up again.
    fn resume_restart(&self, session: Session) {
        let this = self.clone();
        let span = tracing::info_span!("session.restart", session.id = %session.id);
        let work = async move {
            if let Err(fault) = this.finish_restart(&session).await {
                tracing::warn!(cause = %fault::chain(&fault), "a restart cannot be finished yet");
            }
        };
        self.lifecycle().spawn(work.instrument(span));
    }

    async fn attempt(&self, session: &Session) -> Attempt {
        match self.try_to_prepare(session).await {
            Ok(Some(session)) => Attempt::Settled(Box::new(session)),
            Ok(None) => Attempt::Lost,
            Err(fault) => Attempt::Away(fault),
        }
    }

    /// One attempt. An error means that a part is away, `None` that the record is gone.
    async fn try_to_prepare(&self, session: &Session) -> Result<Option<Session>, Fault> {
        let begun;
        let session = match session.status {
            SessionStatus::Provisioning => session,
            SessionStatus::Pending => {
                if !self.provisioner().is_reachable().await {
                    return Err(Fault::unavailable(2, "the provisioner is away"));
                }
                match self.store().begin(session.id, REQUESTED, self.now()).await? {
                    Some(session) => {
                        self.metrics().stepped(session.status, REQUESTED);
                        begun = session;
                        &begun
                    }
                    None => return self.overtaken(session).await,
                }
            }
            SessionStatus::Ready | SessionStatus::Failed | SessionStatus::Dropped => return Ok(Some(session.clone())),
        };
        let asked = Instant::now();
        match self.provisioner().provision(session).await {
            Ok(provisioned) => {
                let (how, reason) = if provisioned.warm {
                    ("warm", WARM)
                } else {
                    ("cold", COLD)
                };
                self.metrics().provisioned(how, asked.elapsed());
                let finished = self
                    .store()
                    .finish(session.id, &provisioned.place, reason, self.now())
                    .await?;
                match finished {
                    Some(session) => {
                        self.metrics().stepped(session.status, reason);
                        Ok(Some(session))
                    }
                    None => self.overtaken(session).await,
                }
            }
            Err(refusal @ Refusal::Passing(..)) => Err(refusal.into()),
            Err(refusal @ (Refusal::Missing(_) | Refusal::Final(_))) => {
                self.metrics().provisioned("failed", asked.elapsed());
                tracing::error!(session.id = %session.id, cause = %fault::chain(&Fault::from(refusal)), "a session failed");
                self.give_up(session).await
            }
        }
    }

    /// Another replica took the step, or the session ended meanwhile: then what was just made is undone.
    async fn overtaken(&self, session: &Session) -> Result<Option<Session>, Fault> {
        let found = self.store().find(&Key::Id(session.id)).await?;
        if !found.as_ref().is_some_and(|found| found.status.is_live()) {
            self.take_away(session.id).await;
        }
        Ok(found)
    }

    async fn give_up(&self, session: &Session) -> Result<Option<Session>, Fault> {
        let failure = Failure {
            code: "PROVISIONING_FAILED".to_owned(),
            message: "The preview could not be prepared. Start a new session; if it fails again, tell us its id."
                .to_owned(),
        };
        match self.store().fail(session.id, &failure, REFUSED, self.now()).await? {
            Some(session) => {
                self.metrics().stepped(session.status, REFUSED);
                self.take_away(session.id).await;
                Ok(Some(session))
            }
            None => self.overtaken(session).await,
        }
    }
}
