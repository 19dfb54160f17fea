//! The isolation canary: a sample of transactions asks the slot that they read whose it is.
//!
//! PostgreSQL keeps sessions apart; this watches that it does. The question goes the way of every other statement: the
//! same prologue, the same search_path, the same cache of prepared statements.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use domain::RoleName;
use opentelemetry::{KeyValue, metrics::Counter};
use sea_orm::DbErr;
use service::telemetry::meter;

/// The role that the slot belongs to, and the one that the transaction has.
pub(super) const QUESTION: &str = "SELECT role, current_user::text FROM slot_identity";

/// Decides which transactions ask, and counts the answers.
#[derive(Clone, Debug)]
pub(super) struct Canary {
    every: u64,
    seen: Arc<AtomicU64>,
    checks: Counter<u64>,
}

impl Canary {
    /// One transaction in `every` asks; none with 0.
    pub fn new(every: u64) -> Self {
        let checks = meter("tenant_api")
            .u64_counter("tenant_api.isolation.checks")
            .with_description("Slots asked for their identity, by the answer: match or mismatch.")
            .build();
        // So that both series are there before anything is wrong.
        for outcome in ["match", "mismatch"] {
            checks.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        Self {
            every,
            seen: Arc::default(),
            checks,
        }
    }

    /// Whether this transaction asks.
    pub fn is_due(&self) -> bool {
        self.every > 0 && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }

    /// Compares the answer to [`QUESTION`].
    ///
    /// # Errors
    /// When the slot is another one's.
    pub fn check(&self, expected: &RoleName, slot: &str, user: &str) -> Result<(), DbErr> {
        let matches = slot == expected.as_str() && user == expected.as_str();
        let outcome = if matches { "match" } else { "mismatch" };
        self.checks.add(1, &[KeyValue::new("outcome", outcome)]);
        if matches {
            return Ok(());
        }
        Err(DbErr::Custom(format!(
            "isolation is broken: expected the slot of {expected}, found that of {slot} as {user}"
        )))
    }
}
