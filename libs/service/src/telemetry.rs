//! Logs, traces and metrics of a process.

use std::io::IsTerminal;

use opentelemetry::{KeyValue, global, metrics::Meter, trace::TracerProvider as _};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource, metrics::SdkMeterProvider, propagation::TraceContextPropagator, trace::SdkTracerProvider,
};
pub use prometheus::Registry;
use prometheus::{Encoder, TextEncoder};
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{AppEnv, LogFormat, Reader};

/// How a process tells what it does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it runs.
    pub app_env: AppEnv,
    format: LogFormat,
    level: String,
    endpoint: Option<String>,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let app_env = reader.parsed(
            "APP_ENV",
            "development",
            "Where it runs: development, production or test.",
        );
        let level: String = reader.parsed(
            "LOG_LEVEL",
            "info",
            "What is logged: error, warn, info, debug, trace, or filters such as info,tenant_api=debug.",
        );
        // A single name could also be a module's, of which everything is logged and nothing of the others.
        let is_word = !level.contains(['=', ',', '[']);
        if EnvFilter::try_new(&level).is_err() || (is_word && level.parse::<LevelFilter>().is_err()) {
            reader.mistake(format!(
                "LOG_LEVEL: is {level:?}, must be error, warn, info, debug, trace or a list of filters"
            ));
        }
        Self {
            app_env,
            format: reader.parsed("LOG_FORMAT", "json", "How log lines look: json or pretty."),
            level,
            endpoint: reader.optional_url(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "Collector of traces and metrics (OTLP over gRPC); none are sent without it.",
            ),
        }
    }
}

/// The running telemetry of a process.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    registry: Registry,
}

impl Telemetry {
    /// Starts logs, metrics and, with a collector configured, traces. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the exporter cannot be built or a subscriber is installed already.
    pub fn start(service: &'static str, config: &Config) -> anyhow::Result<Self> {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();

        let registry = Registry::new();
        let mut metrics = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(
            opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .scope_info_enabled(false)
                .build()?,
        );
        let mut traces = None;
        if let Some(endpoint) = &config.endpoint {
            let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
            metrics = metrics.with_periodic_exporter(exporter);
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
            traces = Some(
                SdkTracerProvider::builder()
                    .with_resource(resource)
                    .with_batch_exporter(exporter)
                    .build(),
            );
        }
        let metrics = metrics.build();
        global::set_meter_provider(metrics.clone());

        let format = match config.format {
            LogFormat::Json => tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                // All spans around: what is logged in a step of a request carries the request's id and session.
                .with_current_span(false)
                .with_span_list(true)
                .boxed(),
            LogFormat::Pretty => {
                let lines = tracing_subscriber::fmt::layer().compact();
                // NO_COLOR is heeded by the layer itself.
                if std::io::stdout().is_terminal() {
                    lines.boxed()
                } else {
                    lines.with_ansi(false).boxed()
                }
            }
        };
        // The export's own traffic must not be traced, or each batch would make the next one. The databases' clients
        // would log whole statements.
        let quiet = ",h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,opentelemetry=warn,sqlx=warn,tokio_postgres=info";
        let filter = EnvFilter::try_new(format!("{}{quiet}", config.level))?;
        let otel = traces
            .as_ref()
            .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
        tracing_subscriber::registry()
            .with(filter)
            .with(format)
            .with(otel)
            .try_init()?;
        Ok(Self {
            traces,
            metrics,
            registry,
        })
    }

    /// What `/metrics` shows.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Sends what is left. Called last, also after a failure.
    pub fn flush(self) {
        // Exporters block; a collector that is away must not keep the process.
        if let Some(traces) = self.traces {
            let _ = traces.shutdown();
        }
        let _ = self.metrics.shutdown();
    }
}

/// The instruments of a part, by its name.
#[must_use]
pub fn meter(part: &'static str) -> Meter {
    global::meter(part)
}

/// Metrics in the Prometheus text format.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(error) => format!("# {error}\n"),
    }
}
