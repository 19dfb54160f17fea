//! How often a session may call, and how much at once. Often: so many times in any 60 seconds, for each kind of request
//! (a token bucket would let twice as many through in its first minute). At once: a share of the connections, the others
//! wait.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::SessionId;
use fault::{Fault, codes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// What all sessions did in the last minute.
pub struct Rates {
    requests: Window,
    auth: Window,
    contact: Window,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Every request.
    Request,
    /// A write under `/auth`.
    AuthWrite,
    /// A contact message.
    Contact,
}

impl Rates {
    /// Nobody has called yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: Window::of(limits.requests_per_minute),
            auth: Window::of(limits.auth_writes_per_minute),
            contact: Window::of(limits.contact_messages_per_minute),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn count(&self, session: SessionId, counted: Counted) -> Result<(), Fault> {
        let window = self.window(counted);
        window.count(session, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let what = match counted {
                Counted::Request => "requests",
                Counted::AuthWrite => "sign-in requests",
                Counted::Contact => "contact messages",
            };
            let message = format!(
                "This preview takes {} {what} a minute. Try again in {seconds} s.",
                window.limit
            );
            Fault::new(codes::RATE_LIMITED, message).retry_after(seconds.max(1))
        })
    }

    /// Takes the last one back.
    pub fn forget(&self, session: SessionId, counted: Counted) {
        if let Some(seen) = self.window(counted).seen().get_mut(&session) {
            seen.pop_back();
        }
    }

    /// Forgets sessions that have been quiet.
    pub fn tidy(&self) {
        for window in [&self.requests, &self.auth, &self.contact] {
            window.tidy(Instant::now());
        }
    }

    const fn window(&self, counted: Counted) -> &Window {
        match counted {
            Counted::Request => &self.requests,
            Counted::AuthWrite => &self.auth,
            Counted::Contact => &self.contact,
        }
    }
}

/// When each session did a thing, in the last minute: `limit` times at most.
struct Window {
    /// 0: as often as it likes.
    limit: usize,
    seen: Mutex<HashMap<SessionId, VecDeque<Instant>>>,
}

impl Window {
    fn of(limit: u32) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            seen: Mutex::default(),
        }
    }

    /// Counts one, or tells how long to wait for the next.
    fn count(&self, session: SessionId, now: Instant) -> Result<(), Duration> {
        if self.limit == 0 {
            return Ok(());
        }
        let mut all = self.seen();
        let seen = all.entry(session).or_default();
        while seen
            .front()
            .is_some_and(|&at| now.saturating_duration_since(at) >= MINUTE)
        {
            seen.pop_front();
        }
        match seen.front() {
            Some(&oldest) if seen.len() >= self.limit => Err(MINUTE - now.saturating_duration_since(oldest)),
            _ => {
                seen.push_back(now);
                Ok(())
            }
        }
    }

    fn tidy(&self, now: Instant) {
        let is_recent = |seen: &VecDeque<Instant>| {
            seen.back()
                .is_some_and(|&at| now.saturating_duration_since(at) < MINUTE)
        };
        self.seen().retain(|_, seen| is_recent(seen));
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<SessionId, VecDeque<Instant>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests of a session that run at once. Those beyond wait with nothing read but their heads, so that one session
/// cannot take all connections, nor the memory, of the others.
pub struct Turns {
    at_once: usize,
    sessions: Mutex<HashMap<SessionId, Arc<Semaphore>>>,
}

impl Turns {
    /// So many of each session.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once,
            sessions: Mutex::default(),
        }
    }

    /// Waits until the session has a turn; who came first gets it first. It lasts until it is dropped.
    ///
    /// # Errors
    /// Never: nobody closes the queue.
    pub async fn wait(&self, session: SessionId) -> Result<OwnedSemaphorePermit, Fault> {
        let queue = Arc::clone(
            self.sessions()
                .entry(session)
                .or_insert_with(|| Arc::new(Semaphore::new(self.at_once))),
        );
        queue.acquire_owned().await.map_err(Fault::internal)
    }

    /// Forgets sessions of which nothing runs.
    pub fn tidy(&self) {
        self.sessions().retain(|_, queue| Arc::strong_count(queue) > 1);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Semaphore>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::Clock;

    use super::*;

    #[test]
    fn no_minute_has_more_than_the_limit_and_the_wait_is_true() {
        let (window, session, start) = (Window::of(2), SessionId::new(Clock::system().now()), Instant::now());
        let at = |millis| window.count(session, start + Duration::from_millis(millis));
        assert_eq!((at(0), at(40_000)), (Ok(()), Ok(())));
        let wait = Duration::from_secs(10);
        assert_eq!(at(50_000), Err(wait));
        assert_eq!(at(59_999), Err(Duration::from_millis(1)));
        assert_eq!(at(60_000), Ok(()), "the first is a minute old");
        assert_eq!(at(60_001), Err(Duration::from_millis(39_999)), "the second is not");
        window.tidy(start + Duration::from_millis(119_999));
        assert_eq!(window.seen().len(), 1);
        window.tidy(start + MINUTE * 2);
        assert_eq!(window.seen().len(), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let window = Window::of(0);
        assert_eq!(
            window.count(SessionId::new(Clock::system().now()), Instant::now()),
            Ok(())
        );
        assert!(window.seen().is_empty());
    }

    #[tokio::test]
    async fn a_session_waits_for_itself_and_for_nobody_else() {
        let (turns, now) = (Turns::new(2), Clock::system().now());
        let (one, other) = (SessionId::new(now), SessionId::new(now));
        let (first, second) = (turns.wait(one).await, turns.wait(one).await);
        let third = tokio::time::timeout(Duration::from_millis(20), turns.wait(one)).await;
        assert!(third.is_err(), "two run already");
        assert!(turns.wait(other).await.is_ok());
        turns.tidy();
        assert_eq!(turns.sessions().len(), 1, "of the other nothing runs");
        drop(first);
        assert!(turns.wait(one).await.is_ok());
        drop(second);
        turns.tidy();
        assert_eq!(turns.sessions().len(), 0);
    }
}
