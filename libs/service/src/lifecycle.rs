//! The end of a process: a signal stops the intake, what is under way drains, then the process leaves.

use std::{future::Future, process::ExitCode, time::Duration};

use fault::Fault;
use futures::stream::{self, Stream, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a process ends: what went wrong in one line on standard error.
#[must_use]
pub fn exit(program: &str, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Keeps the tasks of a process and tells them when to stop.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A process that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that the shutdown waits for. It must end soon after [`Self::stopping`] resolves.
    #[expect(clippy::disallowed_methods, reason = "this is the tracker that the ban names")]
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Runs a task that the shutdown does not wait for: it goes on while others drain, and ends with the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "what tells of the drain cannot be drained itself"
    )]
    pub fn spawn_to_the_end<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(task);
    }

    /// Resolves when the process should stop.
    pub async fn stopping(self) {
        self.stop.cancelled().await;
    }

    /// The stream as long as the process does not stop. Its last item then says so: an end without a word would mean
    /// that there is nothing more to tell.
    pub fn follow<T, E>(
        &self,
        items: impl Stream<Item = Result<T, E>> + Send + 'static,
    ) -> impl Stream<Item = Result<T, E>> + Send + 'static
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let this = self.clone();
        stream::unfold(Some((this, Box::pin(items))), async |state| {
            let (this, mut items) = state?;
            let item = tokio::select! {
                () = this.clone().stopping() => None,
                item = items.next() => Some(item?),
            };
            match item {
                Some(item) => Some((item, Some((this, items)))),
                None => Some((Err(Fault::unavailable(1, "this replica is stopping").into()), None)),
            }
        })
    }

    /// Whether the process should stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Begins the stop, as SIGTERM does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Starts what the process does. `None` when a signal came first: what was begun then stops.
    ///
    /// # Errors
    /// Those of the start.
    pub async fn start<T, E>(
        &self,
        signals: &mut Signals,
        start: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, E> {
        tokio::select! {
            started = start => started.map(Some),
            name = signals.next() => {
                tracing::info!("{name}: draining");
                self.stop.cancel();
                Ok(None)
            }
        }
    }

    /// Waits for a signal or [`Self::stop`], then up to `grace` for all tasks. A second signal ends the wait.
    pub async fn run(self, mut signals: Signals, grace: Duration) -> Drained {
        tokio::select! {
            name = signals.next() => tracing::info!("{name}: draining"),
            () = self.stop.cancelled() => tracing::info!("stopping: draining"),
        }
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => Drained::All,
            () = tokio::time::sleep(grace) => Drained::Cut,
            _ = signals.next() => Drained::Cut,
        }
    }
}

/// SIGTERM and SIGINT, which no longer end the process by themselves. Listen before anything else is done.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything under way was finished.
    All,
    /// The time was over, or a second signal came.
    Cut,
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn drain(lifecycle: Lifecycle, grace: Duration) -> Option<Drained> {
        Some(lifecycle.run(Signals::listen().ok()?, grace).await)
    }

    #[tokio::test]
    async fn what_is_under_way_is_waited_for() {
        let lifecycle = Lifecycle::new();
        let (done, finished) = tokio::sync::oneshot::channel();
        let task = lifecycle.clone();
        lifecycle.spawn(async move {
            task.stopping().await;
            tokio::task::yield_now().await;
            let _ = done.send(());
        });
        lifecycle.stop();
        assert_eq!(drain(lifecycle, Duration::from_secs(5)).await, Some(Drained::All));
        assert_eq!(finished.await, Ok(()));
    }

    #[tokio::test]
    async fn what_does_not_end_is_cut_off() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(std::future::pending());
        lifecycle.stop();
        assert_eq!(drain(lifecycle, Duration::from_millis(10)).await, Some(Drained::Cut));
    }
}
