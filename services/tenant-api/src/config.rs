//! The settings of the tenant-api.

use std::{net::SocketAddr, time::Duration};

use service::{
    config::{Origins, Reader, Secret},
    grpc::CallerTls,
    telemetry,
};

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Logs, traces, metrics.
    pub telemetry: telemetry::Config,
    /// Where visitors' requests arrive.
    pub http: SocketAddr,
    /// The private port.
    pub admin: SocketAddr,
    /// The sessions' database, as the role that sees nothing by itself.
    pub database: Secret,
    /// Connections of this process.
    pub pool_size: u32,
    /// One transaction in so many asks its slot whose it is; 0: none.
    pub canary: u64,
    /// The control plane.
    pub orchestrator: String,
    /// How it is called.
    pub orchestrator_tls: CallerTls,
    /// Shared by our processes.
    pub internal_secret: Secret,
    /// Signs access tokens.
    pub jwt_secret: Secret,
    /// Origins that may call from a browser.
    pub origins: Origins,
    /// Life of a cached look-up.
    pub tenant_cache: Duration,
    /// What one session may take.
    pub limits: Limits,
    /// How long a stop waits for requests under way.
    pub grace: Duration,
}

/// What one session may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of a table.
    pub rows: u64,
    /// Bytes of an uploaded file.
    pub file_bytes: u64,
    /// Bytes of all uploads of a session.
    pub upload_bytes: u64,
    /// Requests at once.
    pub at_once: usize,
    /// Requests a minute; 0: no limit.
    pub requests_per_minute: u32,
    /// Writes a minute under `/auth`; 0: no limit.
    pub auth_writes_per_minute: u32,
    /// Contact messages a minute; 0: no limit.
    pub contact_messages_per_minute: u32,
    /// How long one statement may run.
    pub statement: Duration,
    /// How long a request may take in all.
    pub request: Duration,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let telemetry = telemetry::Config::read(reader);
        let app_env = telemetry.app_env;
        let orchestrator = reader.url(
            "ORCHESTRATOR_URL",
            "http://127.0.0.1:50051",
            "gRPC address of the orchestrator.",
        );
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            telemetry,
            http: reader.address(
                "TENANT_API_HTTP_ADDR",
                "0.0.0.0:3003",
                "Where the application's routes are served.",
            ),
            admin: reader.address(
                "TENANT_API_ADMIN_ADDR",
                "0.0.0.0:9103",
                "The private port: /livez, /readyz, /metrics, /internal.",
            ),
            database: reader.database(
                "DATABASE_URL",
                None,
                "The sessions' database, as the login that sees nothing by itself.",
            ),
            pool_size: small(reader.number("DB_POOL_SIZE", 16, 1..=100, "Connections of this process.")),
            canary: reader.number(
                "ISOLATION_CHECK_EVERY",
                64,
                0..=1_000_000,
                "One request in so many compares the identity of the slot it reads; 0 compares none.",
            ),
            orchestrator_tls: CallerTls::read(reader, "ORCHESTRATOR_URL", &orchestrator),
            orchestrator,
            internal_secret: reader.secret(
                "INTERNAL_API_SECRET",
                app_env,
                "Shared by the processes of one installation.",
            ),
            jwt_secret: reader.key("JWT_SECRET", app_env, "Signs access tokens; at least 32 bytes."),
            origins: reader.parsed(
                "CORS_ORIGIN",
                "http://localhost:3002,http://localhost:3004",
                "Origins that may call from a browser, a comma list.",
            ),
            tenant_cache: Duration::from_secs(reader.number(
                "TENANT_CACHE_TTL_SECONDS",
                30,
                0..=3600,
                "Life of a cached session look-up.",
            )),
            limits: Limits {
                rows: reader.number(
                    "MAX_ROWS_PER_TABLE",
                    1000,
                    10..=1_000_000,
                    "Rows of one table in one session.",
                ),
                file_bytes: reader.number(
                    "MAX_FILE_SIZE_BYTES",
                    1_048_576,
                    1..=1_048_576,
                    "Bytes of one uploaded file.",
                ),
                upload_bytes: reader.number(
                    "MAX_UPLOAD_BYTES_PER_SESSION",
                    26_214_400,
                    1..=1_073_741_824,
                    "Bytes of all uploads of one session.",
                ),
                at_once: usize::try_from(reader.number(
                    "SESSION_REQUESTS_AT_ONCE",
                    6,
                    1..=1000,
                    "Requests of one session that run at once, the others wait; fewer than DB_POOL_SIZE leave some to other sessions.",
                ))
                .unwrap_or(6),
                requests_per_minute: small(reader.number(
                    "SESSION_REQUESTS_PER_MINUTE",
                    1200,
                    0..=10_000_000,
                    "Requests of one session; 0 means no limit.",
                )),
                auth_writes_per_minute: small(reader.number(
                    "AUTH_WRITES_PER_MINUTE",
                    60,
                    0..=1_000_000,
                    "Writes of one session under /auth; 0 means no limit.",
                )),
                contact_messages_per_minute: small(reader.number(
                    "CONTACT_MESSAGES_PER_MINUTE",
                    10,
                    0..=1_000_000,
                    "Contact messages of one session; 0 means no limit.",
                )),
                statement: Duration::from_millis(reader.number(
                    "STATEMENT_TIMEOUT_MS",
                    5000,
                    10..=60_000,
                    "How long one statement may run.",
                )),
                request: Duration::from_secs(reader.number(
                    "REQUEST_TIMEOUT_SECONDS",
                    15,
                    1..=300,
                    "How long one request may take in all.",
                )),
            },
            grace: Duration::from_secs(reader.number(
                "SHUTDOWN_GRACE_SECONDS",
                20,
                0..=600,
                "How long a stop waits for requests under way.",
            )),
        }
    }
}
