//! What can be configured, and how it is called. control-plane.md section 7 names most of it.

use std::{net::SocketAddr, time::Duration};

use chrono::TimeDelta;
use domain::Currency;
use service::{
    config::{Origins, Proxies, Reader, Secret},
    grpc::{CallerTls, ServerTls},
    telemetry,
};

use crate::{database, session::Policy, session::limits::Limits};

/// The configuration of one orchestrator.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the REST gateway listens.
    pub http: SocketAddr,
    /// Where the gRPC services listen.
    pub grpc: SocketAddr,
    /// The private port.
    pub admin: SocketAddr,
    /// The control database.
    pub database: database::Config,
    /// The provisioner.
    pub provisioner_url: String,
    /// What the gRPC services show and demand.
    pub tls: ServerTls,
    /// How the provisioner is called.
    pub provisioner_tls: CallerTls,
    /// What callers of gRPC must know, and what the provisioner must hear.
    pub secret: Secret,
    /// How REST answers.
    pub rest: Rest,
    /// Rules of sessions.
    pub policy: Policy,
    /// Between two rounds of the reconciler.
    pub reconcile_interval: Duration,
    /// How long what is under way may take after SIGTERM.
    pub grace: Duration,
    /// Who this is, in the recorded transitions.
    pub replica: String,
    /// Logs, traces, metrics.
    pub telemetry: telemetry::Config,
}

/// How REST answers.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// Where the preview application is served.
    pub preview_frontend_url: String,
    /// Who may call from a browser.
    pub origins: Origins,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Proxies,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let telemetry = telemetry::Config::read(reader);
        let secret = reader.secret(
            "INTERNAL_API_SECRET",
            telemetry.app_env,
            "Shared by our processes and the studio's backend; at least 32 bytes in production.",
        );
        let provisioner_url = reader.url(
            "PROVISIONER_URL",
            "http://127.0.0.1:50052",
            "The provisioner's gRPC address.",
        );
        Self {
            http: reader.address(
                "ORCHESTRATOR_HTTP_ADDR",
                "0.0.0.0:3001",
                "Where the REST gateway listens.",
            ),
            grpc: reader.address(
                "ORCHESTRATOR_GRPC_ADDR",
                "0.0.0.0:50051",
                "Where the gRPC services listen.",
            ),
            admin: reader.address(
                "ORCHESTRATOR_ADMIN_ADDR",
                "0.0.0.0:9101",
                "Private port: /livez, /readyz, /metrics.",
            ),
            database: database::Config::read(reader),
            tls: ServerTls::read(reader),
            provisioner_tls: CallerTls::read(reader, "PROVISIONER_URL", &provisioner_url),
            provisioner_url,
            secret,
            rest: Rest::read(reader),
            policy: policy(reader),
            reconcile_interval: seconds(reader.decimal(
                "RECONCILE_INTERVAL_SECONDS",
                30.0,
                0.1..=3_600.0,
                "Between two rounds that end due sessions and finish what was left behind.",
            )),
            grace: seconds(reader.decimal(
                "SHUTDOWN_GRACE_SECONDS",
                20.0,
                0.0..=600.0,
                "How long what is under way may take after SIGTERM.",
            )),
            replica: reader
                .optional(
                    "REPLICA_NAME",
                    "Who this is in recorded transitions; made of the process id when left out.",
                )
                .unwrap_or_else(|| format!("orchestrator-{}", std::process::id())),
            telemetry,
        }
    }
}

impl Rest {
    fn read(reader: &mut Reader) -> Self {
        Self {
            preview_frontend_url: reader.url(
                "PREVIEW_FRONTEND_URL",
                "http://localhost:3004",
                "Where visitors open the preview application.",
            ),
            origins: reader.parsed(
                "CORS_ORIGIN",
                "http://localhost:3002,http://localhost:3004",
                "Origins that may call from a browser, a comma list.",
            ),
            proxies: reader.parsed(
                "TRUSTED_PROXIES",
                "",
                "Proxies whose X-Forwarded-For is believed: a comma list of addresses and networks.",
            ),
        }
    }
}

fn policy(reader: &mut Reader) -> Policy {
    let max_schemas = reader.number("MAX_PREVIEW_SCHEMAS", 50, 1..=100_000, "Live sessions in all.");
    let max_per_address = reader.number(
        "MAX_SESSIONS_PER_IP",
        5,
        1..=100_000,
        "Live sessions per client address.",
    );
    let per_hour = reader.number(
        "SESSION_CREATE_RATE_PER_HOUR",
        100,
        1..=1_000_000_000,
        "Creations per hour and client address.",
    );
    let ttl = reader.decimal("PREVIEW_TTL_HOURS", 4.0, 0.0001..=8_760.0, "How long a session lives.");
    let lifetime = reader.decimal(
        "MAX_SESSION_LIFETIME_HOURS",
        24.0,
        0.0001..=8_760.0,
        "How long extensions may keep a session, from its creation on.",
    );
    let idle = reader.decimal(
        "SCHEMA_IDLE_TIMEOUT_MIN",
        30.0,
        0.01..=525_600.0,
        "Minutes without traffic after which a session ends.",
    );
    if lifetime < ttl {
        reader.mistake(format!(
            "MAX_SESSION_LIFETIME_HOURS: is {lifetime}, must be at least PREVIEW_TTL_HOURS ({ttl})"
        ));
    }
    Policy {
        limits: Limits {
            max_schemas,
            max_per_address,
            per_hour,
        },
        ttl: delta(ttl * 3_600.0),
        max_lifetime: delta(lifetime * 3_600.0),
        idle: delta(idle * 60.0),
        default_currency: currency(reader),
        patience: Duration::from_secs(2),
    }
}

fn currency(reader: &mut Reader) -> Option<Currency> {
    let text: String = reader.parsed(
        "DEFAULT_CURRENCY",
        "USD",
        "Currency of sessions that name none, ISO 4217.",
    );
    let currency = text.parse();
    if let Err(error) = &currency {
        reader.mistake(format!("DEFAULT_CURRENCY: is {text:?}, {error}"));
    }
    currency.ok()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the ranges above keep it far below the limit"
)]
fn delta(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{self, Reader};

    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgresql://u:p@localhost/db");

    #[test]
    fn the_defaults_are_the_contracts() {
        let config = config::read(Reader::over([DATABASE]), Config::read).expect("only the database is needed");
        let policy = config.policy;
        assert_eq!(
            policy.limits,
            Limits {
                max_schemas: 50,
                max_per_address: 5,
                per_hour: 100
            }
        );
        assert_eq!(
            (policy.ttl, policy.max_lifetime, policy.idle),
            (TimeDelta::hours(4), TimeDelta::hours(24), TimeDelta::minutes(30))
        );
        assert_eq!(policy.default_currency.map(Currency::as_str), Some("USD"));
        assert_eq!(
            (config.http.port(), config.grpc.port(), config.admin.port()),
            (3001, 50051, 9101)
        );
        assert_eq!(
            config.rest.origins.0,
            ["http://localhost:3002", "http://localhost:3004"]
        );
    }

    #[test]
    fn mistakes_name_the_variable_and_what_is_right() {
        let values = [
            DATABASE,
            ("DEFAULT_CURRENCY", "dollars"),
            ("MAX_SESSION_LIFETIME_HOURS", "1"),
            ("MAX_PREVIEW_SCHEMAS", "0"),
        ];
        let mistakes = config::read(Reader::over(values), Config::read)
            .expect_err("three mistakes")
            .0;
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes
                .iter()
                .any(|line| line.starts_with("DEFAULT_CURRENCY: is \"dollars\", must be an ISO 4217"))
        );
        assert!(
            mistakes
                .iter()
                .any(|line| line.contains("must be at least PREVIEW_TTL_HOURS (4)"))
        );
    }
}
