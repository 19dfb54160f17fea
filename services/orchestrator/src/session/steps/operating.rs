//! What operators do: end sessions of others, and watch all of them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{SessionId, SessionStatus};
use fault::Fault;
use futures::stream::{self, BoxStream};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout},
};

use super::{Sessions, ending::BATCH, unknown};
use crate::session::{Key, changes::Notice, state::reason::OPERATOR, store::Entry};

/// Without a notice a watcher looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Notices come in bursts; one look serves them all.
const BURST: Duration = Duration::from_millis(100);
/// Longer than any statement runs: what took a number before is visible by then, or never.
const SETTLED: Duration = Duration::from_secs(15);
/// Entries read at once.
const PAGE: usize = 500;

/// What a drain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that it ended.
    pub ended: u32,
    /// Those that are not over yet.
    pub remaining: u32,
}

impl Sessions {
    /// Ends a session whatever its state; `false` when it is over already.
    ///
    /// # Errors
    /// 404 when there is no record of it, 503 when the database is away.
    pub async fn end_by_operator(&self, id: SessionId, why: Option<&str>) -> Result<bool, Fault> {
        let key = Key::Id(id);
        let ended = self.end_recorded(&key, &recorded(why), OPERATOR).await?;
        if !ended && self.store().find(&key).await?.is_none() {
            return Err(unknown());
        }
        Ok(ended)
    }

    /// Ends up to `most` sessions that were created until `until`, and has their schemas taken away. When the
    /// provisioner is away, the reconciler has.
    ///
    /// # Errors
    /// 503 when the database is away; what was ended is.
    pub async fn drain(&self, why: Option<&str>, until: DateTime<Utc>, most: u32) -> Result<Drained, Fault> {
        let reason = recorded(why);
        let mut ended = 0;
        while ended < most {
            let batch = BATCH.min(i64::from(most - ended));
            let done = self.store().end_all(until, &reason, batch, self.now()).await?;
            if done == 0 {
                break;
            }
            for _ in 0..done {
                self.metrics().stepped(SessionStatus::Dropped, OPERATOR);
            }
            ended += u32::try_from(done).unwrap_or(u32::MAX);
        }
        tracing::warn!(ended, reason, "an operator ended sessions");
        if ended > 0 && self.provisioner().is_reachable().await {
            self.drop_due().await?;
        }
        let remaining = self.store().unended(until).await?;
        Ok(Drained { ended, remaining })
    }

    /// What happens from now on to any session; behind the entry `after` when that is given.
    ///
    /// # Errors
    /// 503 when the database is away.
    pub async fn happenings(&self, after: Option<i64>) -> Result<BoxStream<'static, Result<Entry, Fault>>, Fault> {
        // Before the look, so that nothing falls in between.
        let (_, notices) = self.changes().subscribe();
        let floor = match after {
            Some(after) => after,
            None => self.store().last_happening().await?,
        };
        let watch = Watch {
            sessions: self.clone(),
            notices,
            floor,
            seen: BTreeMap::new(),
            told: VecDeque::new(),
            page: Some(floor),
        };
        let entries = stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(entry) => Some((Ok(entry), Some(watch))),
                Err(fault) => Some((Err(fault), None)),
            }
        });
        Ok(Box::pin(self.lifecycle().follow(entries)))
    }
}

/// Numbers of entries are given out in another order than they become visible in, so those of the last seconds are
/// read again at each look, and only the unseen are told.
struct Watch {
    sessions: Sessions,
    notices: Receiver<Notice>,
    /// Everything up to here was told.
    floor: i64,
    /// What was told above it, and when.
    seen: BTreeMap<i64, Instant>,
    /// What was read and is to be told.
    told: VecDeque<Entry>,
    /// Where the next page begins; `None`: after the next notice.
    page: Option<i64>,
}

impl Watch {
    async fn next(&mut self) -> Result<Entry, Fault> {
        loop {
            if let Some(entry) = self.told.pop_front() {
                return Ok(entry);
            }
            let after = match self.page {
                Some(after) => after,
                None => {
                    self.hear().await;
                    self.settle();
                    self.floor
                }
            };
            self.read(after).await?;
        }
    }

    async fn read(&mut self, after: i64) -> Result<(), Fault> {
        let most = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let page = self.sessions.store().happenings(after, most).await?;
        self.page = page.get(PAGE - 1).map(|last| last.id);
        let now = Instant::now();
        for entry in page.into_iter().take(PAGE) {
            if self.seen.insert(entry.id, now).is_none() {
                self.told.push_back(entry);
            }
        }
        Ok(())
    }

    fn settle(&mut self) {
        let settled = self.seen.iter().rev().find(|(_, told)| told.elapsed() >= SETTLED);
        if let Some((&id, _)) = settled {
            self.floor = id;
            self.seen = self.seen.split_off(&(id + 1));
        }
    }

    async fn hear(&mut self) {
        match timeout(LOOK_AGAIN, self.notices.recv()).await {
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {
                sleep(BURST).await;
                self.notices = self.notices.resubscribe();
            }
            // Nobody feeds notices any more: the time-out looks.
            Ok(Err(RecvError::Closed)) => sleep(LOOK_AGAIN).await,
            Err(_) => {}
        }
    }
}

/// The reason as it is recorded.
fn recorded(why: Option<&str>) -> String {
    why.map_or_else(|| OPERATOR.to_owned(), |why| format!("{OPERATOR}: {why}"))
}
