//! Figures of the control plane.

use std::{collections::HashMap, time::Duration};

use domain::SessionStatus;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram},
};
use service::telemetry::meter;

use crate::session::{
    limits::Limit,
    state::reason::{LOST, REFUSED},
};

/// The instruments. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    creations: Histogram<f64>,
    provisions: Histogram<f64>,
    transitions: Counter<u64>,
    refusals: Counter<u64>,
    sessions: Gauge<u64>,
    orphans: Counter<u64>,
    rounds: Histogram<f64>,
    requests: Histogram<f64>,
}

/// Bounds in seconds, fine around the promised 30 and 100 ms.
const SECONDS: [f64; 16] = [
    0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0,
];

impl Metrics {
    /// Registers the instruments with the process's telemetry.
    #[must_use]
    pub fn new() -> Self {
        let meter = meter("orchestrator");
        let seconds = |name: &'static str, help: &'static str| {
            meter
                .f64_histogram(name)
                .with_description(help)
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .build()
        };
        let this = Self {
            creations: seconds(
                "session_creation",
                "From a creation's arrival to its answer, by outcome",
            ),
            provisions: seconds(
                "session_provision",
                "The provisioner's part of it, by warm, cold or failed",
            ),
            transitions: meter
                .u64_counter("session_transitions")
                .with_description("Steps of sessions, by the state they led to and why")
                .build(),
            refusals: meter
                .u64_counter("session_limits_hit")
                .with_description("Creations refused at a limit, by its code")
                .build(),
            sessions: meter
                .u64_gauge("sessions")
                .with_description("Recorded sessions by state, as of the last round of this replica")
                .build(),
            orphans: meter
                .u64_counter("orphaned_schemas_dropped")
                .with_description("Schemas without a session that the reconciler had taken away")
                .build(),
            rounds: seconds("reconcile_round", "Rounds of the reconciler in which this replica led"),
            requests: seconds("http_request", "REST requests by route and status"),
        };
        // There from the start, so that the first one is seen as an increase.
        this.orphans.add(0, &[]);
        for reason in [LOST, REFUSED] {
            this.transitions.add(0, &step(SessionStatus::Failed, reason));
        }
        for limit in Limit::ALL {
            this.refusals.add(0, &[KeyValue::new("code", limit.code().name)]);
        }
        this
    }

    /// A creation was answered.
    pub fn created(&self, outcome: &'static str, took: Duration) {
        self.creations
            .record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// The provisioner answered.
    pub fn provisioned(&self, how: &'static str, took: Duration) {
        self.provisions.record(took.as_secs_f64(), &[KeyValue::new("how", how)]);
    }

    /// A session took a step.
    pub fn stepped(&self, to: SessionStatus, reason: &'static str) {
        self.transitions.add(1, &step(to, reason));
    }

    /// A creation was refused.
    pub fn refused(&self, code: &'static str) {
        self.refusals.add(1, &[KeyValue::new("code", code)]);
    }

    /// How many sessions there are.
    pub fn counted(&self, counts: &HashMap<SessionStatus, u32>) {
        for status in SessionStatus::ALL {
            let count = counts.get(&status).copied().unwrap_or(0);
            self.sessions
                .record(count.into(), &[KeyValue::new("status", status.as_str())]);
        }
    }

    /// An orphan is gone.
    pub fn orphan(&self) {
        self.orphans.add(1, &[]);
    }

    /// A round of the reconciler is over.
    pub fn round(&self, took: Duration) {
        self.rounds.record(took.as_secs_f64(), &[]);
    }

    /// A REST request was answered.
    pub fn requested(&self, route: &str, status: u16, took: Duration) {
        let labels = [
            KeyValue::new("route", route.to_owned()),
            KeyValue::new("status", i64::from(status)),
        ];
        self.requests.record(took.as_secs_f64(), &labels);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What tells steps apart.
fn step(to: SessionStatus, reason: &'static str) -> [KeyValue; 2] {
    [KeyValue::new("to", to.as_str()), KeyValue::new("reason", reason)]
}
