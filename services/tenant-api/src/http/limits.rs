//! How often a session may call: a token bucket for each session and kind of request.

use std::{hash::Hash, num::NonZeroU32};

use domain::SessionId;
use fault::{Fault, codes};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock};

use crate::config::Limits;

/// The buckets of all sessions.
pub struct Rates {
    requests: Option<DefaultKeyedRateLimiter<SessionId>>,
    auth: Option<DefaultKeyedRateLimiter<SessionId>>,
    contact: Option<DefaultKeyedRateLimiter<SessionId>>,
    clock: DefaultClock,
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

fn per_minute<K: Hash + Eq + Clone>(limit: u32) -> Option<DefaultKeyedRateLimiter<K>> {
    NonZeroU32::new(limit).map(|limit| RateLimiter::keyed(Quota::per_minute(limit)))
}

impl Rates {
    /// Empty buckets.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: per_minute(limits.requests_per_minute),
            auth: per_minute(limits.auth_writes_per_minute),
            contact: per_minute(limits.contact_messages_per_minute),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn count(&self, session: SessionId, counted: Counted) -> Result<(), Fault> {
        let (bucket, what) = match counted {
            Counted::Request => (&self.requests, "requests"),
            Counted::AuthWrite => (&self.auth, "sign-in requests"),
            Counted::Contact => (&self.contact, "contact messages"),
        };
        let Some(bucket) = bucket else { return Ok(()) };
        bucket.check_key(&session).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let message = format!(
                "This preview takes {} {what} a minute. Try again in {seconds} s.",
                refused.quota().burst_size()
            );
            Fault::new(codes::RATE_LIMITED, message).retry_after(seconds.max(1))
        })
    }

    /// Forgets sessions that have been quiet.
    pub fn tidy(&self) {
        for bucket in [&self.requests, &self.auth, &self.contact].into_iter().flatten() {
            bucket.retain_recent();
        }
    }
}
