//! Processor time: on a busy machine the figure that others disturb least.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::stack::Stack;

/// Linux counts in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What PostgreSQL's client backends have used so far, this tool's own connection left out.
pub async fn of_backends(stack: &Stack) -> Result<Duration> {
    let rows = stack
        .database()
        .query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| of(row.get::<_, i32>(0).unsigned_abs())).sum())
}

/// What a process has used so far; nothing when it has ended.
pub fn of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields after the name, which may hold anything: user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}
