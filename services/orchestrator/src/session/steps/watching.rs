//! Following a session: its state now, then at each change.

use chrono::{DateTime, Utc};
use fault::Fault;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use super::Sessions;
use crate::session::{Key, Session, changes::Notice};

use std::time::Duration;

/// Without a notice a watcher looks again after this time: notices may be lost, states not.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a watcher has seen last.
type Mark = (i64, domain::SessionStatus, DateTime<Utc>, String);

struct Watch {
    sessions: Sessions,
    session: Session,
    notices: Receiver<Notice>,
    shown: Option<Mark>,
}

impl Sessions {
    /// The session now and after each change, until it is over; its end is the last item.
    ///
    /// # Errors
    /// 404 when there never was one, 410 when it is over, 503 when the database is away.
    pub async fn watch(&self, key: &Key) -> Result<BoxStream<'static, Result<Session, Fault>>, Fault> {
        // Subscribed before the first look, so that nothing falls in between.
        let (_, notices) = self.changes().subscribe();
        let watch = Watch {
            session: self.look(key).await?,
            sessions: self.clone(),
            notices,
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
        let stopping = self.lifecycle().clone().stopping();
        Ok(Box::pin(states.take_until(stopping)))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Session, Fault> {
        loop {
            let mark = self.mark();
            if self.shown.as_ref() != Some(&mark) {
                self.shown = Some(mark);
                return Ok(self.session.clone());
            }
            self.told().await;
            let key = Key::Id(self.session.id);
            self.session = self.sessions.find(&key).await?.ok_or_else(super::unknown)?;
        }
    }

    fn mark(&self) -> Mark {
        let session = &self.session;
        let status = session.shown_status(self.sessions.now());
        (session.generation, status, session.expires_at, session.tier.clone())
    }

    /// Resolves at a notice of this session, at its end, or after a while.
    async fn told(&mut self) {
        let now = self.sessions.now();
        let left = (self.session.expires_at - now).to_std().unwrap_or_default();
        let hash = self.session.token_hash;
        let notice = async {
            loop {
                match self.notices.recv().await {
                    Ok(notice) if notice.hash.is_none_or(|changed| changed == hash) => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    // Nobody feeds notices any more: the time-out below looks.
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = timeout(LOOK_AGAIN.min(left.max(Duration::from_millis(10))), notice).await;
    }
}
