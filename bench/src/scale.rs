//! How cost grows with the number of live sessions.

use std::time::Duration;

use anyhow::Result;

use crate::{
    load, memory,
    sample::Sample,
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

const PATH: &str = "/api/v1/ecommerce/products?page=1&limit=20";

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of live sessions, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    sessions: Vec<usize>,
    /// Further creations at each number
    #[arg(long, default_value_t = 40)]
    creations: usize,
    /// HTTP connections of the load over all sessions
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Length of that load
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    let mut table = Table::new(
        format!(
            "GET {PATH} over all live sessions with {} connections, creations one after another",
            options.connections
        ),
        &[
            "live sessions",
            "creation p50 ms",
            "creation p99 ms",
            "req/s",
            "request p50 ms",
            "request p99 ms",
            "failed",
            "PostgreSQL connections",
            "their private memory, MB",
            "largest, MB",
            "tenant-api, MB",
        ],
    );
    let mut sessions: Vec<Session> = Vec::new();
    for &count in &options.sessions {
        eprintln!("{count} live sessions");
        let missing = count.saturating_sub(sessions.len());
        sessions.extend(stack.create_many(missing, &SHOP).await?);
        stack.rest().await?;
        let created = create(stack, options.creations).await?;
        let tokens: Vec<&str> = sessions.iter().map(|session| session.token.as_str()).collect();
        let (url, time) = (format!("{}{PATH}", stack.tenant), Duration::from_secs(options.seconds));
        let run = load::get(&url, &tokens, options.connections, Duration::from_secs(2), time).await?;
        let backends = memory::backends(stack).await?;
        let [private, largest] = memory::sum_and_largest(&backends);
        let tenant = stack.processes.iter().find(|(name, _)| *name == "tenant-api");
        table.row([
            count.to_string(),
            figure(created.at(0.5)),
            figure(created.at(0.99)),
            figure(run.rate),
            figure(run.sample.at(0.5)),
            figure(run.sample.at(0.99)),
            run.failed.to_string(),
            backends.len().to_string(),
            private,
            largest,
            figure(tenant.and_then(|(_, pid)| memory::of_process(*pid)).unwrap_or(f64::NAN)),
        ]);
    }
    table.print();
    stack.end_all(&sessions).await
}

/// Creations one after another, each ended before the next, so that the number of live sessions stays.
async fn create(stack: &Stack, count: usize) -> Result<Sample> {
    let mut sample = Sample::default();
    for number in 0..count + 4 {
        let (session, took) = stack.create(&SHOP).await?;
        // The first few find caches cold.
        if number >= 4 {
            sample.add(took);
        }
        stack.end(&session).await?;
    }
    stack.rest().await?;
    Ok(sample)
}
