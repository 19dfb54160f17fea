//! What can be done with sessions. A creation is steps that each have an undo: a session that cannot be finished is
//! ended, and what is ended gives its schema back; the reconciler calls the same functions for what a process that
//! died has left behind.

mod creation;
mod ending;
mod living;
mod operating;
mod preparing;
mod watching;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Clock, SessionStatus};
use fault::{Fault, codes};
use service::{config::Secret, lifecycle::Lifecycle};
use tokio::time::Instant;

use super::{Key, Policy, Session, changes::Changes, store::Store};
use crate::{metrics::Metrics, provisioner::Provisioner};

pub use creation::{Creation, NotYet};
pub use operating::Drained;
pub use watching::Ear;

/// The sessions of this installation. Clones share everything.
#[derive(Clone)]
pub struct Sessions(Arc<Parts>);

/// What sessions are made with.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// The provisioner.
    pub provisioner: Provisioner,
    /// The rules.
    pub policy: Policy,
    /// The time.
    pub clock: Clock,
    /// When this replica began to hear of traffic.
    pub started: DateTime<Utc>,
    /// Makes tokens of keyed creations.
    pub secret: Secret,
    /// Keeps work that outlives its caller.
    pub lifecycle: Lifecycle,
    /// Notices of changes.
    pub changes: Changes,
    /// Figures.
    pub metrics: Metrics,
}

/// Without a notice a waiting caller looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Sessions {
    /// Sessions made of parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The records.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The provisioner.
    #[must_use]
    pub fn provisioner(&self) -> &Provisioner {
        &self.0.provisioner
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Notices of changes.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// Figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The end of the process.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The session; looking at a deferred one starts its preparation.
    ///
    /// # Errors
    /// 404 when there never was one, 410 when it is over, 503 when the database is away.
    pub async fn look(&self, key: &Key) -> Result<Session, Fault> {
        self.living(self.find(key).await?)
    }

    /// Whether there is such a session, without starting anything.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn must_live(&self, key: &Key) -> Result<(), Fault> {
        self.living(self.store().find(key).await?).map(drop)
    }

    fn living(&self, session: Option<Session>) -> Result<Session, Fault> {
        let session = session.ok_or_else(unknown)?;
        if session.is_over(self.now()) {
            return Err(over());
        }
        Ok(session)
    }

    /// The session whatever its state, if there is one; looking at a deferred one starts its preparation.
    ///
    /// # Errors
    /// 503 when the database is away.
    pub async fn find(&self, key: &Key) -> Result<Option<Session>, Fault> {
        let session = self.store().find(key).await?;
        if let Some(session) = &session {
            self.want(session).await?;
        }
        Ok(session)
    }

    /// The session once it is prepared, or as it is when `patience` is over.
    async fn settled(&self, mut session: Session, patience: Duration) -> Result<Session, Fault> {
        let deadline = Instant::now() + patience;
        let mut ear = self.ear(session.token_hash);
        while is_under_way(&session) && Instant::now() < deadline {
            ear.hear(LOOK_AGAIN.min(deadline - Instant::now())).await;
            session = self.store().find(&Key::Id(session.id)).await?.ok_or_else(unknown)?;
        }
        Ok(session)
    }
}

/// Somebody makes its first schema, or should.
fn is_being_prepared(session: &Session) -> bool {
    match session.status {
        SessionStatus::Pending => !session.deferred,
        SessionStatus::Provisioning => true,
        SessionStatus::Ready | SessionStatus::Failed | SessionStatus::Dropped => false,
    }
}

/// Its schema, or the fresh one of a restart, is not there yet.
fn is_under_way(session: &Session) -> bool {
    is_being_prepared(session) || (session.status == SessionStatus::Ready && session.restarting_since.is_some())
}

/// There never was such a session, or it is long forgotten.
#[must_use]
pub fn unknown() -> Fault {
    Fault::new(codes::SESSION_NOT_FOUND, "There is no such session.")
}

/// The session is over.
#[must_use]
pub fn over() -> Fault {
    Fault::new(codes::SESSION_EXPIRED, "This session is over. Start a new one.")
}
