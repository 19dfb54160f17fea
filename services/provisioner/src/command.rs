//! The command line: `provisioner` serves, `provisioner install` prepares a database.

use clap::Command;
use service::config;

use crate::{config::Config, install};

/// What the process is asked to do.
pub enum Task {
    /// Serve until it is told to stop.
    Serve(Box<Config>),
    /// Prepare a database and leave.
    Install(install::Config),
}

/// Reads flags and environment; prints mistakes and leaves with 2.
#[must_use]
pub fn read() -> Task {
    let install = config::command(
        Command::new("install")
            .about("Makes the logins, schemas and rights in a database. Run it once as superuser; again, it repairs."),
        install::Config::read,
    );
    let serve = Command::new("provisioner")
        .about("Keeps schemas ready and gives them to sessions.")
        .version(env!("CARGO_PKG_VERSION"));
    let matches = config::command(serve, Config::read).subcommand(install).get_matches();
    match matches.subcommand() {
        Some((_, matches)) => Task::Install(
            config::from_matches(matches, install::Config::read)
                .unwrap_or_else(|mistakes| config::leave("provisioner install", &mistakes)),
        ),
        None => Task::Serve(Box::new(
            config::from_matches(&matches, Config::read)
                .unwrap_or_else(|mistakes| config::leave("provisioner", &mistakes)),
        )),
    }
}
