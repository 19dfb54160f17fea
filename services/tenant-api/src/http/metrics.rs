//! Figures of requests. Labels name what was called, never for whom: no session, no token.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram, UpDownCounter},
};
use service::telemetry::meter;

use super::Route;

/// Bounds in seconds: most requests take a few milliseconds, a hash a few hundred, none more than its deadline.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0,
];

/// The instruments. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
}

/// Takes the name of the route that serves a request; in its extensions.
#[derive(Clone, Debug, Default)]
pub struct Measured(Arc<OnceLock<[&'static str; 3]>>);

impl Measured {
    /// The route is known.
    pub fn name(&self, route: &Route) {
        let _ = self.0.set([route.module, route.resource, route.operation]);
    }
}

impl Metrics {
    /// Registers the instruments with the process's telemetry.
    #[must_use]
    pub fn new() -> Self {
        let meter = meter("tenant_api");
        Self {
            requests: meter
                .f64_histogram("tenant_api.request.duration")
                .with_description("Requests by route and class of status; those that no route served have empty names.")
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            in_flight: meter
                .i64_up_down_counter("tenant_api.requests.in_flight")
                .with_description("Requests under way.")
                .build(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Times a request; one whose client hung up counts as `gone`.
pub async fn measure(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let mut running = Running::start(metrics);
    request.extensions_mut().insert(running.route.clone());
    let response = next.run(request).await;
    running.status = match response.status().as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    response
}

struct Running {
    metrics: Metrics,
    route: Measured,
    started: Instant,
    status: &'static str,
}

impl Running {
    fn start(metrics: Metrics) -> Self {
        metrics.in_flight.add(1, &[]);
        Self {
            metrics,
            route: Measured::default(),
            started: Instant::now(),
            status: "gone",
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let [module, resource, operation] = self.route.0.get().copied().unwrap_or_default();
        let labels = [
            KeyValue::new("module", module),
            KeyValue::new("resource", resource),
            KeyValue::new("operation", operation),
            KeyValue::new("status", self.status),
        ];
        self.metrics
            .requests
            .record(self.started.elapsed().as_secs_f64(), &labels);
        self.metrics.in_flight.add(-1, &[]);
    }
}
