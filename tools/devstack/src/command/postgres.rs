//! `devstack postgres`: a PostgreSQL for a test run.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use devstack::checkout::Checkout;
use devstack::postgres::{Cluster, server};
use devstack::process::Watchdog;

use super::foreground;

const VARIABLE: &str = "TEST_DATABASE_URL";

pub async fn run(settings: &[String], command: &[OsString]) -> Result<ExitCode> {
    if let Ok(url) = env::var(VARIABLE) {
        server::connect(VARIABLE, &server::parse(VARIABLE, &url)?).await?;
        return foreground::run(command, &[]).await;
    }
    let settings: Vec<_> = settings
        .iter()
        .map(|setting| {
            setting
                .split_once('=')
                .with_context(|| format!("--set {setting}: write NAME=VALUE"))
        })
        .collect::<Result<_>>()?;
    let mut cluster = Cluster::throwaway(&Checkout::find()?, &settings, &Watchdog::start()?)?;
    cluster.start()?;
    let url = cluster.url("postgres")?;
    eprintln!(
        "PostgreSQL {} for tests on port {}",
        cluster.version(),
        url.port().unwrap_or_default()
    );
    foreground::run(command, &[(VARIABLE, url.into())]).await
}
