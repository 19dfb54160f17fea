//! Memory of every process and the connections to PostgreSQL, as sessions come to live and are visited.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load,
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

/// Several pages, so that each backend meets more tables than those of one list.
const PATHS: [&str; 4] = [
    "/api/v1/ecommerce/products?page=1&limit=20",
    "/api/v1/ecommerce/categories",
    "/api/v1/ecommerce/cart",
    "/api/v1/notifications",
];

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of live sessions, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50])]
    sessions: Vec<usize>,
    /// HTTP connections of the load before each look
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Length of that load for each of four pages
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    let mut table = Table::new(
        "Memory in MB and PostgreSQL connections, after load over all sessions",
        &[
            "live sessions",
            "orchestrator",
            "provisioner",
            "tenant-api",
            "connections",
            "of orchestrator",
            "of provisioner",
            "of tenant-api",
            "private memory of backends",
            "largest backend",
        ],
    );
    let mut sessions: Vec<Session> = Vec::new();
    table.row(look(stack, "0, after the start").await?);
    for &count in &options.sessions {
        let missing = count.saturating_sub(sessions.len());
        sessions.extend(stack.create_many(missing, &SHOP).await?);
        eprintln!("{count} live sessions");
        let tokens: Vec<&str> = sessions.iter().map(|session| session.token.as_str()).collect();
        for path in PATHS {
            let url = format!("{}{path}", stack.tenant);
            load::get(
                &url,
                &tokens,
                options.connections,
                Duration::ZERO,
                Duration::from_secs(options.seconds),
            )
            .await?;
        }
        table.row(look(stack, &count.to_string()).await?);
    }
    table.print();
    stack.end_all(&sessions).await
}

async fn look(stack: &Stack, name: &str) -> Result<Vec<String>> {
    let backends = backends(stack).await?;
    let mut counts = [0usize; 3];
    for (user, _) in &backends {
        let service = ["orchestrator", "provisioner", "tenant"]
            .iter()
            .position(|name| user.ends_with(name));
        if let Some(service) = service {
            counts[service] += 1;
        }
    }
    let mut cells = vec![name.to_owned()];
    for (process, pid) in &stack.processes {
        cells.push(figure(
            of_process(*pid).with_context(|| format!("{process} does not run"))?,
        ));
    }
    cells.push(backends.len().to_string());
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend(sum_and_largest(&backends));
    Ok(cells)
}

/// The sum of the backends' private memory and the largest, as figures.
pub fn sum_and_largest(backends: &[(String, f64)]) -> [String; 2] {
    let private = || backends.iter().map(|(_, megabytes)| *megabytes);
    [figure(private().sum()), figure(private().fold(0.0, f64::max))]
}

/// Login and private memory in MB of each backend of the services.
pub async fn backends(stack: &Stack) -> Result<Vec<(String, f64)>> {
    let rows = stack
        .database()
        .query(
            "SELECT pid, usename::text FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND usename LIKE current_database() || '\\_%'",
            &[],
        )
        .await?;
    // One that has just ended has no memory left to tell of.
    let private = |pid: i32| megabytes(pid.unsigned_abs(), "RssAnon").unwrap_or_default();
    Ok(rows.iter().map(|row| (row.get(1), private(row.get(0)))).collect())
}

/// Resident memory of a process in MB.
pub fn of_process(pid: u32) -> Option<f64> {
    megabytes(pid, "VmRSS")
}

/// A figure of a process's status.
#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn megabytes(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes as f64 / 1024.0)
}
