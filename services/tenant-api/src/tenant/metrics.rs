//! Figures of look-ups, connections and statements. No label names a session.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram},
};
use service::telemetry::meter;

use super::pool::{self, Lane};

const METER: &str = "tenant_api";

/// Where the answer about a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From the cache.
    Hit,
    /// The control plane was asked.
    Miss,
    /// The control plane is away: the last that was known.
    Stale,
    /// The control plane is away and nothing is known.
    Away,
}

/// Counts look-ups.
#[derive(Clone, Debug)]
pub(super) struct Lookups(Counter<u64>);

impl Lookups {
    pub fn new() -> Self {
        let meter = meter(METER);
        let this = Self(
            meter
                .u64_counter("tenant_api.directory.lookups")
                .with_description("Look-ups of sessions, by where the answer came from: hit, miss, stale or away.")
                .build(),
        );
        // There from the start, so that the first one is seen as an increase.
        for source in ["stale", "away"] {
            this.0.add(0, &[KeyValue::new("source", source)]);
        }
        this
    }

    pub fn count(&self, source: Source) {
        let source = match source {
            Source::Hit => "hit",
            Source::Miss => "miss",
            Source::Stale => "stale",
            Source::Away => "away",
        };
        self.0.add(1, &[KeyValue::new("source", source)]);
    }
}

/// Counts what transactions send.
#[derive(Clone, Debug)]
pub(super) struct Statements(Histogram<u64>);

impl Statements {
    /// Also watches the connections of all lanes.
    pub fn new(lanes: &Arc<[Lane]>) -> Self {
        let (meter, watched) = (meter(METER), Arc::clone(lanes));
        let _ = meter
            .u64_observable_gauge("tenant_api.db.connections")
            .with_description("Connections to PostgreSQL, by whether they are lent.")
            .with_callback(move |gauge| {
                let (all, idle) = pool::level(&watched);
                let (all, idle) = (u64::from(all), idle as u64);
                gauge.observe(idle, &[KeyValue::new("state", "idle")]);
                gauge.observe(all.saturating_sub(idle), &[KeyValue::new("state", "used")]);
            })
            .build();
        Self(
            meter
                .u64_histogram("tenant_api.transaction.statements")
                .with_description("Statements of one request's transaction, BEGIN and COMMIT left out.")
                .with_boundaries(vec![0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0])
                .build(),
        )
    }

    pub fn record(&self, statements: u32) {
        self.0.record(statements.into(), &[]);
    }
}
