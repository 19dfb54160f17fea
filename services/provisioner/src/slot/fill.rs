//! Keeping the pool at its target, in the background.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tracing::{Instrument, info_span};

use super::{
    Rest, Slots,
    prepare::{Pace, Want},
    store::Levels,
};
use crate::error::Error;

/// How long the pool is left alone when nobody asks for it.
const TICK: Duration = Duration::from_secs(5);
/// How long calls may hold up a look at the pool.
const LULL: Duration = Duration::from_millis(50);
/// The longest rest of emptying, in times of its work.
const EASY: u32 = 3;
/// The rest when waiting claims have all preparations for themselves.
const MAKE_WAY: Duration = Duration::from_millis(200);

impl Slots {
    /// Makes slots, one at a time, whenever the pool is below its target. Woken by claims and ended sessions.
    pub(super) async fn keep_filling(self: Arc<Self>) {
        let mut rest = Rest::new();
        while !self.lifecycle.is_stopping() {
            match self.fill_one().instrument(info_span!("slot.fill")).await {
                Ok(made) => {
                    rest = Rest::new();
                    if made {
                        continue;
                    }
                }
                Err(Error::Stopping) => return,
                Err(error) => {
                    tracing::error!(error = %fault::chain(&error), "the pool cannot be filled");
                    self.pause(rest.next()).await;
                    continue;
                }
            }
            tokio::select! {
                _ = timeout(TICK, self.fill.notified()) => {}
                () = self.lifecycle.clone().stopping() => {}
            }
            // Claims come in bursts; one look at the pool serves them all.
            self.traffic.lull(LULL).await;
        }
    }

    /// Makes one slot if one is missing.
    async fn fill_one(&self) -> Result<bool, Error> {
        let levels = self.levels().await?;
        self.ease.store(ease(&levels), Ordering::Relaxed);
        if levels.ready + levels.preparing >= levels.target || !self.is_present().await? {
            return Ok(false);
        }
        let Some(_build) = self.cold.build_for_pool() else {
            self.pause(MAKE_WAY).await;
            return Ok(true);
        };
        // Ended slots that are emptied are the cheaper supply: making others must not slow calls down while some are left.
        let pace = if levels.ready * 4 < levels.target {
            Pace::Brisk
        } else {
            Pace::Gentle
        };
        self.prepare(Want::Pool(levels.target), pace).await
    }

    /// Sleeps, but not through a shutdown.
    pub(super) async fn pause(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.lifecycle.clone().stopping() => {}
        }
    }
}

/// How many times as long as it worked emptying rests. An ended slot is worth little while the pool is full: when many
/// sessions end together, the processors stay with those that go on.
fn ease(levels: &Levels) -> u32 {
    match levels.ready {
        ready if ready * 2 < levels.target => 0,
        ready if ready < levels.target => 1,
        _ => EASY,
    }
}
