//! Calls that are under way: what runs in the background makes way for them.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Counts calls under way.
#[derive(Debug)]
pub struct Traffic(watch::Sender<usize>);

impl Default for Traffic {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Call<'a>(&'a Traffic);

impl Traffic {
    /// A call begins; it ends when the guard is dropped.
    pub fn enter(&self) -> Call<'_> {
        self.0.send_modify(|calls| *calls += 1);
        Call(self)
    }

    /// Waits for a moment without calls, at most for `limit`: unbroken traffic must not starve the background.
    pub async fn lull(&self, limit: Duration) {
        let mut calls = self.0.subscribe();
        let _ = timeout(limit, calls.wait_for(|calls| *calls == 0)).await;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|calls| *calls -= 1);
    }
}
