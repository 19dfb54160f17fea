//! The commands of `devstack`.

mod foreground;
mod postgres;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
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
    /// Run a command with a PostgreSQL for tests
    ///
    /// TEST_DATABASE_URL names it. The cluster is thrown away afterwards, and does not survive a
    /// power cut. When TEST_DATABASE_URL is set already, that server is used and none is started.
    Postgres {
        /// Options of postgresql.conf, such as max_connections=200
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

impl Devstack {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Postgres { settings, command } => postgres::run(&settings, &command).await,
        }
    }
}
