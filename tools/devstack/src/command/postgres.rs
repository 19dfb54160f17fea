//! `devstack postgres`: a PostgreSQL for a test run.

use std::process::ExitCode;

use anyhow::Result;
use devstack::checkout::Checkout;
use devstack::environment::variable;
use devstack::postgres::{Cluster, server};
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
    foreground::run(&with.command, &[(VARIABLE, url.into())], &watchdog).await
}
