//! Limits on creations, and what somebody over one is told.

use chrono::TimeDelta;
use fault::{Fault, codes};

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Live sessions in all.
    pub max_schemas: u64,
    /// Live sessions per client network.
    pub max_per_address: u64,
    /// Creations per client network within an hour.
    pub per_hour: u64,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Too many creations within the hour.
    Rate,
    /// Too many live sessions of one address.
    Address,
    /// Too many live sessions in all.
    Capacity,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Address, Self::Capacity];

    /// Its error code, which is also the verdict of the admitting statement.
    #[must_use]
    pub const fn code(self) -> fault::Code {
        match self {
            Self::Rate => codes::RATE_LIMITED,
            Self::Address => codes::SESSION_LIMIT_PER_IP,
            Self::Capacity => codes::SCHEMA_CAPACITY_REACHED,
        }
    }

    /// The limit behind a verdict.
    #[must_use]
    pub fn of_verdict(verdict: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.code().name == verdict)
    }

    /// The refusal; `wait` is the time until a place is free if nobody else takes it.
    #[must_use]
    pub fn refusal(self, limits: &Limits, wait: TimeDelta) -> Fault {
        let seconds = whole_seconds(wait);
        let message = match self {
            Self::Rate => format!(
                "At most {} sessions may be created per hour from one address. Try again in {seconds} s.",
                limits.per_hour
            ),
            Self::Address => format!(
                "At most {} sessions may be live at a time from one address. End one, or try again in {seconds} s.",
                limits.max_per_address
            ),
            Self::Capacity => format!(
                "At most {} sessions may be live at a time, and all places are taken. Try again in {seconds} s.",
                limits.max_schemas
            ),
        };
        Fault::new(self.code(), message).retry_after(seconds)
    }
}

/// Rounded up, so that who waits so long does get in.
fn whole_seconds(wait: TimeDelta) -> u64 {
    let millis = u64::try_from(wait.num_milliseconds()).unwrap_or(0);
    // Anything below the millisecond counts too.
    (millis + 1).div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_and_never_nothing() {
        for (millis, seconds) in [
            (-5, 1),
            (0, 1),
            (1, 1),
            (999, 1),
            (1_000, 2),
            (1_001, 2),
            (3_600_000, 3_601),
        ] {
            assert_eq!(whole_seconds(TimeDelta::milliseconds(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn a_refusal_names_its_limit() {
        let limits = Limits {
            max_schemas: 50,
            max_per_address: 5,
            per_hour: 100,
        };
        for (limit, number) in [(Limit::Rate, "100"), (Limit::Address, "5"), (Limit::Capacity, "50")] {
            let fault = limit.refusal(&limits, TimeDelta::seconds(9));
            assert!(
                fault.message().contains(&format!("At most {number} sessions")),
                "{fault}"
            );
            assert_eq!(Limit::of_verdict(fault.code().name), Some(limit));
        }
    }
}
