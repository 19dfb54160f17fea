//! `devstack postgres`: a PostgreSQL for a test run.

use std::process::ExitCode;

use anyhow::Result;
use devstack::checkout::Checkout;
use devstack::environment::variable;
use devstack::postgres::{Cluster, PROGRAMS, server};
use devstack::process::Watchdog;

use super::{With, foreground};

const VARIABLE: &str = "TEST_DATABASE_URL";

pub async fn run(with: &With) -> Result<ExitCode> {
    let watchdog = Watchdog::start()?;
    if let Some(url) = variable(VARIABLE) {
        server::connect(VARIABLE, &server::parse(VARIABLE, &url)?).await?;
        return foreground::run(&with.command, &[], &watchdog).await;
    }
    let mut cluster = Cluster::throwaway(&Checkout::find()?, &with.settings()?, &watchdog)?;
    cluster.start()?;
    let url = cluster.url("postgres")?;
    eprintln!(
        "PostgreSQL {} for tests on port {}",
        cluster.version(),
        url.port().unwrap_or_default()
    );
    // A cluster that a test makes elsewhere is of the same programs: nothing is fetched twice.
    let programs = cluster.programs().display().to_string();
    let environment = [(VARIABLE, url.into()), (PROGRAMS, programs)];
    foreground::run(&with.command, &environment, &watchdog).await
}
