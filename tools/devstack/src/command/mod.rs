//! The commands of `devstack`.

mod down;
mod exports;
mod first_session;
mod foreground;
mod postgres;
mod record;
mod run;
mod status;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Runs Live Preview on this machine.
#[derive(Parser)]
#[command(version)]
pub struct Devstack {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and stay until Ctrl-C
    ///
    /// A private PostgreSQL is kept under .devstack, unless DATABASE_URL names a server: then that
    /// one is used and none is started. Addresses can be changed by the services' own variables,
    /// such as ORCHESTRATOR_HTTP_ADDR=127.0.0.1:4001; every other variable of the services is
    /// passed on to them, such as POOL_TARGET=2.
    Up {
        /// How many replicas of the tenant-api
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
        tenants: u8,
    },
    /// Stop what `up` started from this checkout, and only that
    Down,
    /// Tell what runs
    Status,
    /// Run a command with a stack of its own on free ports
    ///
    /// The command finds the addresses in its environment: PREVIEW_URL, PREVIEW_GRPC_URL, TENANT_API_URL,
    /// TENANT_API_URLS, the private ports as *_ADMIN_URL, process ids as *_PID, DATABASE_URL and
    /// INTERNAL_API_SECRET. The database is thrown away afterwards.
    Run {
        /// How many replicas of the tenant-api
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
        tenants: u8,
        /// Let PostgreSQL write as carefully as in production, for measurements
        #[arg(long)]
        durable: bool,
        #[command(flatten)]
        with: With,
    },
    /// Run a command with a PostgreSQL for tests
    ///
    /// TEST_DATABASE_URL names it. The cluster is thrown away afterwards, and does not survive a
    /// power cut. When TEST_DATABASE_URL is set already, that server is used and none is started.
    Postgres {
        #[command(flatten)]
        with: With,
    },
}

/// What a command gets to run with.
#[derive(clap::Args)]
struct With {
    /// Options of postgresql.conf, such as max_connections=200
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl With {
    fn settings(&self) -> Result<Vec<(&str, &str)>> {
        let pairs = self.settings.iter().map(|setting| {
            let pair = setting.split_once('=');
            pair.with_context(|| format!("--set {setting}: write NAME=VALUE"))
        });
        pairs.collect()
    }
}

impl Devstack {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Up { tenants } => up::run(tenants.into()).await,
            Command::Down => down::run(),
            Command::Status => status::run().await,
            Command::Run { tenants, durable, with } => run::run(tenants.into(), durable, &with).await,
            Command::Postgres { with } => postgres::run(&with).await,
        }
    }
}
