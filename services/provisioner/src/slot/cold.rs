//! The queue for the time when the pool is empty: who waits, and how many slots are being made for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Slots made at once. Each takes a core and a connection.
const BUILDS: usize = 2;

/// Waiting claims and running preparations.
#[derive(Debug, Default)]
pub struct Cold {
    counts: Mutex<Counts>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: usize,
    building: usize,
}

/// A claim that waits.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Cold);

/// The right to make a slot.
#[derive(Debug)]
pub struct Build(Arc<Cold>);

impl Cold {
    /// A claim begins to wait.
    pub fn wait(&self) -> Waiting<'_> {
        self.counts().waiting += 1;
        Waiting(self)
    }

    /// How many claims wait.
    pub fn waiting(&self) -> u32 {
        u32::try_from(self.counts().waiting).unwrap_or(u32::MAX)
    }

    /// Whether a claim waits.
    pub fn is_wanted(&self) -> bool {
        self.waiting() > 0
    }

    /// Resolves when a slot may be ready. Each ready slot wakes one claim, the one that has waited longest.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Tells that a slot is ready.
    pub fn announce(&self) {
        self.ready.notify_one();
    }

    /// The right to make a slot for a waiting claim, if fewer are being made than claims wait for. `woken` claims
    /// have been promised a slot already.
    pub fn build_for_waiting(self: &Arc<Self>, woken: usize) -> Option<Build> {
        let mut counts = self.counts();
        let wanted = counts.waiting.saturating_sub(woken).min(BUILDS);
        (counts.building < wanted).then(|| {
            counts.building += 1;
            Build(self.clone())
        })
    }

    /// The right to make a slot for the pool, if no waiting claim needs it more.
    pub fn build_for_pool(self: &Arc<Self>) -> Option<Build> {
        let mut counts = self.counts();
        (counts.building < BUILDS.min(counts.waiting + 1)).then(|| {
            counts.building += 1;
            Build(self.clone())
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.counts().waiting -= 1;
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.0.counts().building -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_slots_are_made_than_claims_wait_for_and_never_more_than_two() {
        let cold = Arc::new(Cold::default());
        assert!(cold.build_for_waiting(0).is_none(), "nobody waits");
        let first = cold.wait();
        let build = cold.build_for_waiting(0);
        assert!(build.is_some());
        assert!(cold.build_for_waiting(0).is_none(), "one is on its way");
        let (_second, _third) = (cold.wait(), cold.wait());
        let _other = cold.build_for_waiting(0);
        assert!(cold.build_for_waiting(0).is_none(), "two at once");
        drop((first, build));
        assert!(
            cold.build_for_waiting(1).is_none(),
            "one of two is woken, one slot is on its way"
        );
        assert!(cold.build_for_waiting(0).is_some());
    }
}
