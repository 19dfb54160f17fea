//! `devstack run`: a stack of its own for a command.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use devstack::checkout::Checkout;
use devstack::postgres::{Cluster, server};
use devstack::process::Watchdog;
use devstack::secrets::Secrets;
use devstack::stack::{Database, Options, Ports, Stack};

use super::{With, exports, foreground};

/// What a throwaway cluster otherwise leaves out.
const CAREFUL: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];

pub async fn run(tenants: usize, durable: bool, with: &With) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let watchdog = Watchdog::start()?;
    let mut settings = if durable { CAREFUL.to_vec() } else { Vec::new() };
    settings.extend(with.settings()?);
    let mut cluster = Cluster::throwaway(&checkout, &settings, &watchdog)?;
    cluster.start()?;
    let admin = cluster.url("postgres")?;
    server::create_database(&server::connect("the private database", &admin).await?, "livepreview").await?;
    let options = Options {
        database: Database::new(cluster.url("livepreview")?, Secrets::generate()?),
        ports: Ports::Free,
        tenants,
        environment: Vec::new(),
        inherit: true,
        logs: checkout.folder("log")?.join(format!("run-{}", std::process::id())),
        grace: Duration::from_secs(20),
    };
    let mut stack = Stack::new(options, &watchdog)?;
    stack.start(|step| eprintln!("{step}")).await?;
    let variables = exports::variables(&mut stack)?;
    foreground::run(&with.command, &variables, &watchdog).await
}
