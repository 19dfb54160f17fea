//! Following a session: its state now, then at each change.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{SessionStatus, TokenHash};
use fault::Fault;
use futures::stream::{self, BoxStream};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use super::Sessions;
use crate::session::{Key, Session, changes::Notice};

/// Without a notice a watcher looks again after this time: notices may be lost, states not.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Hears of changes of one session.
pub struct Ear {
    notices: Receiver<Notice>,
    hash: TokenHash,
}

impl Ear {
    /// Resolves when the session may have changed, at the latest after `most`.
    pub async fn hear(&mut self, most: Duration) {
        let notice = async {
            loop {
                match self.notices.recv().await {
                    Ok(notice) if notice.hash.is_none_or(|changed| changed == self.hash) => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    // Nobody feeds notices any more: the time-out looks.
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = timeout(most, notice).await;
    }
}

/// What a watcher has seen last.
type Mark = (i64, SessionStatus, DateTime<Utc>);

struct Watch {
    sessions: Sessions,
    session: Session,
    ear: Ear,
    shown: Option<Mark>,
}

impl Sessions {
    /// An ear for changes of a session. Take it before the first look, so that nothing falls in between.
    #[must_use]
    pub fn ear(&self, hash: TokenHash) -> Ear {
        let (_, notices) = self.changes().subscribe();
        Ear { notices, hash }
    }

    /// How long a watcher may sleep: until the session's end, but not long.
    #[must_use]
    pub fn nap(&self, until: DateTime<Utc>) -> Duration {
        let left = (until - self.now()).to_std().unwrap_or_default();
        left.clamp(Duration::from_millis(10), LOOK_AGAIN)
    }

    /// The session now and after each change, until it is over; its end is the last item.
    ///
    /// # Errors
    /// 404 when there never was one, 410 when it is over, 503 when the database is away.
    pub async fn watch(&self, key: &Key) -> Result<BoxStream<'static, Result<Session, Fault>>, Fault> {
        let hash = self.look(key).await?.token_hash;
        let ear = self.ear(hash);
        let watch = Watch {
            session: self.look(&Key::Hash(hash)).await?,
            sessions: self.clone(),
            ear,
            shown: None,
        };
        let states = stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(session) => {
                    let over = session.is_over(watch.sessions.now());
                    Some((Ok(session), (!over).then_some(watch)))
                }
                Err(fault) => Some((Err(fault), None)),
            }
        });
        Ok(Box::pin(self.lifecycle().follow(states)))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Session, Fault> {
        loop {
            let status = self.session.shown_status(self.sessions.now());
            let mark = (self.session.generation, status, self.session.expires_at);
            if self.shown.as_ref() != Some(&mark) {
                self.shown = Some(mark);
                return Ok(self.session.clone());
            }
            self.ear.hear(self.sessions.nap(self.session.expires_at)).await;
            let key = Key::Id(self.session.id);
            self.session = self.sessions.find(&key).await?.ok_or_else(super::unknown)?;
        }
    }
}
