//! What the provisioner counts and times.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram},
};

use crate::slot::store::Levels;

/// Bounds in seconds: claims take milliseconds, preparing takes seconds.
const BOUNDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0,
];

/// The instruments.
#[derive(Clone, Debug)]
pub struct Metrics {
    slots: Gauge<u64>,
    target: Gauge<u64>,
    steps: Histogram<f64>,
    provisioned: Counter<u64>,
    emptied: Counter<u64>,
    refused: Counter<u64>,
    repaired: Counter<u64>,
}

/// A timed step.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Taking, renaming, seeding and committing a slot.
    Claim,
    /// The demo data within it, or of modules met later.
    Seed,
    /// Demo data for a slot in the pool.
    Furnish,
    /// Making a slot's tables.
    Prepare,
    /// Taking the name away when a session ends.
    Release,
    /// Emptying and checking.
    Recycle,
    /// Dropping one batch of tables.
    Drop,
    /// One comparison of the world with the records.
    Reconcile,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Seed => "seed",
            Self::Furnish => "furnish",
            Self::Prepare => "prepare",
            Self::Release => "release",
            Self::Recycle => "recycle",
            Self::Drop => "drop",
            Self::Reconcile => "reconcile",
        }
    }
}

impl Metrics {
    /// Registers the instruments.
    #[must_use]
    pub fn new() -> Self {
        let meter = service::telemetry::meter("provisioner");
        let this = Self {
            slots: meter
                .u64_gauge("provisioner.slots")
                .with_description("Slots by state.")
                .build(),
            target: meter
                .u64_gauge("provisioner.slots.target")
                .with_description("Ready slots to keep.")
                .build(),
            steps: meter
                .f64_histogram("provisioner.step.duration")
                .with_description("Time of a step of a slot's life.")
                .with_unit("s")
                .with_boundaries(BOUNDS.to_vec())
                .build(),
            provisioned: meter
                .u64_counter("provisioner.provisioned")
                .with_description("Slots given to sessions, warm from the pool or cold.")
                .build(),
            emptied: meter
                .u64_counter("provisioner.emptied")
                .with_description("Ended slots by what became of them: recycled, discarded, retried.")
                .build(),
            refused: meter
                .u64_counter("provisioner.refused")
                .with_description("Sessions that got no slot in time.")
                .build(),
            repaired: meter
                .u64_counter("provisioner.repaired")
                .with_description("Records that did not match the world, by kind.")
                .build(),
        };
        // There from the start, so that the first one is seen as an increase.
        this.refused.add(0, &[]);
        this.emptied.add(0, &[KeyValue::new("outcome", "unclean")]);
        this.repaired.add(0, &[KeyValue::new("kind", "missing")]);
        this
    }

    /// Shows the levels of the pool.
    pub fn levels(&self, levels: &Levels) {
        for (state, count) in levels.by_state() {
            self.slots.record(u64::from(count), &[KeyValue::new("state", state)]);
        }
        self.target.record(u64::from(levels.target), &[]);
    }

    /// Notes how long a step took.
    pub fn took(&self, step: Step, time: Duration) {
        self.steps
            .record(time.as_secs_f64(), &[KeyValue::new("step", step.name())]);
    }

    /// Counts a slot given to a session.
    pub fn provisioned(&self, warm: bool) {
        let from = if warm { "warm" } else { "cold" };
        self.provisioned.add(1, &[KeyValue::new("from", from)]);
    }

    /// Counts an ended slot.
    pub fn emptied(&self, outcome: &'static str) {
        self.emptied.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// Counts a session that got none.
    pub fn refused(&self) {
        self.refused.add(1, &[]);
    }

    /// Counts repaired records.
    pub fn repaired(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.repaired.add(count, &[KeyValue::new("kind", kind)]);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
