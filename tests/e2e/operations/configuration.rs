//! Settings as a process takes them: all are told by `--help`, all mistakes together, secrets never.

use std::process::{Command, Output};

use anyhow::Result;
use devstack::checkout::built;

/// Each variable of a process with its default; empty: it has none.
const ALL: [(&str, &str); 5] = [
    ("APP_ENV", "development"),
    ("LOG_LEVEL", "info"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ("INTERNAL_API_SECRET", ""),
    ("SHUTDOWN_GRACE_SECONDS", "20"),
];
const ORCHESTRATOR: [(&str, &str); 24] = [
    ("ORCHESTRATOR_HTTP_ADDR", "0.0.0.0:3001"),
    ("ORCHESTRATOR_GRPC_ADDR", "0.0.0.0:50051"),
    ("ORCHESTRATOR_ADMIN_ADDR", "0.0.0.0:9101"),
    ("CONTROL_DATABASE_URL", ""),
    ("DATABASE_URL", ""),
    ("DB_POOL_SIZE", "16"),
    ("PROVISIONER_URL", "http://127.0.0.1:50052"),
    ("PREVIEW_FRONTEND_URL", "http://localhost:3004"),
    ("CORS_ORIGIN", "http://localhost:3002,http://localhost:3004"),
    ("TRUSTED_PROXIES", ""),
    ("MAX_PREVIEW_SCHEMAS", "50"),
    ("MAX_SESSIONS_PER_IP", "5"),
    ("SESSION_CREATE_RATE_PER_HOUR", "100"),
    ("PREVIEW_TTL_HOURS", "4"),
    ("MAX_SESSION_LIFETIME_HOURS", "24"),
    ("SCHEMA_IDLE_TIMEOUT_MIN", "30"),
    ("DEFAULT_CURRENCY", "USD"),
    ("RECONCILE_INTERVAL_SECONDS", "30"),
    ("GRPC_TLS_CERT_FILE", ""),
    ("GRPC_TLS_KEY_FILE", ""),
    ("GRPC_TLS_CLIENT_CA_FILE", ""),
    ("GRPC_CALLER_CA_FILE", ""),
    ("GRPC_CALLER_CERT_FILE", ""),
    ("GRPC_CALLER_KEY_FILE", ""),
];
const PROVISIONER: [(&str, &str); 9] = [
    ("PROVISIONER_GRPC_ADDR", "0.0.0.0:50052"),
    ("PROVISIONER_ADMIN_ADDR", "0.0.0.0:9102"),
    ("DATABASE_URL", ""),
    ("DB_POOL_SIZE", "16"),
    ("POOL_TARGET", "8"),
    ("RECONCILE_INTERVAL_SECONDS", "30"),
    ("GRPC_TLS_CERT_FILE", ""),
    ("GRPC_TLS_KEY_FILE", ""),
    ("GRPC_TLS_CLIENT_CA_FILE", ""),
];
const TENANT_API: [(&str, &str); 15] = [
    ("TENANT_API_HTTP_ADDR", "0.0.0.0:3003"),
    ("TENANT_API_ADMIN_ADDR", "0.0.0.0:9103"),
    ("DATABASE_URL", ""),
    ("DB_POOL_SIZE", "16"),
    ("ORCHESTRATOR_URL", "http://127.0.0.1:50051"),
    ("JWT_SECRET", ""),
    ("CORS_ORIGIN", "http://localhost:3002,http://localhost:3004"),
    ("TENANT_CACHE_TTL_SECONDS", "30"),
    ("MAX_ROWS_PER_TABLE", "1000"),
    ("MAX_FILE_SIZE_BYTES", "1048576"),
    ("SESSION_REQUESTS_PER_MINUTE", "1200"),
    ("AUTH_WRITES_PER_MINUTE", "60"),
    ("GRPC_CALLER_CA_FILE", ""),
    ("GRPC_CALLER_CERT_FILE", ""),
    ("GRPC_CALLER_KEY_FILE", ""),
];

fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(built(program)?);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        // Help is wrapped at the terminal's width, which a test has none of.
        .env("COLUMNS", "400");
    Ok(command.output()?)
}

#[test]
fn help_lists_every_variable_with_its_default() -> Result<()> {
    let of: [(&str, &[(&str, &str)]); 3] = [
        ("orchestrator", &ORCHESTRATOR),
        ("provisioner", &PROVISIONER),
        ("tenant-api", &TENANT_API),
    ];
    for (program, own) in of {
        let secrets = [
            ("JWT_SECRET", "jwt-in-the-environment"),
            ("DATABASE_URL", "postgresql://u:password-in-the-environment@h/d"),
            ("INTERNAL_API_SECRET", "secret-in-the-environment"),
        ];
        let output = run(program, &["--help"], &secrets)?;
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout)?;
        assert!(!help.contains("in-the-environment"), "{help}");
        let words = help.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        for (name, default) in ALL.iter().chain(own) {
            let flag = format!("--{} <VALUE>", name.to_lowercase().replace('_', "-"));
            let Some((_, rest)) = words.split_once(&flag) else {
                panic!("{program} has no {flag}:\n{help}")
            };
            let entry = rest.split(" <VALUE>").next().unwrap_or_default();
            assert!(entry.contains(&format!("[env: {name}")), "{program} {name}: {entry}");
            let shown = format!("[default: {default}]");
            assert!(
                default.is_empty() || entry.contains(&shown),
                "{program} {name}: {entry}"
            );
        }
    }
    Ok(())
}

#[test]
fn all_mistakes_are_told_at_once_with_the_variable_and_what_it_must_be() -> Result<()> {
    let wrong: [(&str, &[(&str, &str)]); 3] = [
        (
            "orchestrator",
            &[
                ("CONTROL_DATABASE_URL", "mysql://root:hunter2@db/x"),
                ("ORCHESTRATOR_HTTP_ADDR", "3001"),
                ("MAX_PREVIEW_SCHEMAS", "lots"),
                ("PREVIEW_TTL_HOURS", "-1"),
                ("DEFAULT_CURRENCY", "dollars"),
                ("CORS_ORIGIN", "not an origin"),
                ("TRUSTED_PROXIES", "10.0.0.0/99"),
                ("LOG_FORMAT", "xml"),
                ("GRPC_TLS_CERT_FILE", "/nowhere/server.pem"),
                ("GRPC_TLS_KEY_FILE", "/dev/null"),
                ("GRPC_CALLER_CA_FILE", "/dev/null"),
                ("PROVISIONER_URL", "http://127.0.0.1:50052"),
            ],
        ),
        (
            "provisioner",
            &[
                ("DATABASE_URL", "hunter2"),
                ("POOL_TARGET", "-3"),
                ("PROVISIONER_GRPC_ADDR", "localhost"),
                ("LOG_LEVEL", "very,=loud"),
            ],
        ),
        (
            "tenant-api",
            &[
                ("DATABASE_URL", "hunter2"),
                ("DB_POOL_SIZE", "0"),
                ("ORCHESTRATOR_URL", "127.0.0.1:50051"),
                ("MAX_FILE_SIZE_BYTES", "1048577"),
                ("TENANT_CACHE_TTL_SECONDS", "soon"),
            ],
        ),
    ];
    for (program, settings) in wrong {
        let output = run(program, &[], settings)?;
        let text = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{text}");
        for (name, value) in settings {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}: ")));
            let line = line.unwrap_or_else(|| panic!("{program} says nothing of {name}:\n{text}"));
            assert!(line.contains("must "), "{line}");
            if name.ends_with("DATABASE_URL") {
                assert!(!text.contains("hunter2"), "{text}");
            } else {
                assert!(line.contains(value), "{line}");
            }
        }
        assert_eq!(text.lines().count(), settings.len() + 1, "{text}");
    }
    Ok(())
}

#[test]
fn outside_development_secrets_must_be_long_and_not_the_built_in_ones() -> Result<()> {
    let built_in = service_secret();
    for environment in ["production", "test"] {
        for (value, complaint) in [
            ("", "is missing"),
            ("hunter2", "has 7 bytes"),
            ("dev-internal-secret", "built-in"),
            (built_in, "built-in"),
        ] {
            for (program, names) in [
                ("orchestrator", &["INTERNAL_API_SECRET"][..]),
                ("provisioner", &["INTERNAL_API_SECRET"]),
                ("tenant-api", &["INTERNAL_API_SECRET", "JWT_SECRET"]),
            ] {
                let mut settings = vec![
                    ("APP_ENV", environment),
                    ("DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none"),
                ];
                settings.extend(names.iter().map(|name| (*name, value)));
                let output = run(program, &[], &settings)?;
                let text = String::from_utf8(output.stderr)?;
                assert_eq!(output.status.code(), Some(2), "{program} starts with {value:?}: {text}");
                for name in names {
                    let told = text.lines().any(|line| {
                        line.starts_with(&format!("{name}: {complaint}")) || {
                            line.starts_with(&format!("{name}: is the {complaint}"))
                        }
                    });
                    assert!(told, "{program} {name}: {text}");
                }
                assert!(!text.contains("hunter2") && !text.contains(built_in), "{text}");
            }
        }
    }
    Ok(())
}

/// The one that stands in for a missing secret in development.
fn service_secret() -> &'static str {
    "development-only-secret-not-for-production"
}
