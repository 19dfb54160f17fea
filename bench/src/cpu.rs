//! Processor time: on a busy machine the figure that others disturb least.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::Result;

use crate::stack::Stack;

/// Linux counts in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What PostgreSQL's client backends and the services have used so far.
#[derive(Debug)]
pub struct Look {
    backends: HashMap<u32, Duration>,
    services: HashMap<u32, Duration>,
}

/// Processor time between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Of PostgreSQL's client backends.
    pub postgres: Duration,
    /// Of our processes.
    pub services: Duration,
}

impl Look {
    /// Looks now. This tool's own first connection is left out.
    pub async fn at(stack: &Stack) -> Result<Self> {
        let rows = stack
            .database()
            .query(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
                &[],
            )
            .await?;
        let backends = rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs());
        let services = stack.processes.iter().map(|(_, pid)| *pid);
        Ok(Self {
            backends: backends.map(|pid| (pid, of(pid))).collect(),
            services: services.map(|pid| (pid, of(pid))).collect(),
        })
    }

    /// What was used since an earlier look. Backends that ended meanwhile are lost.
    pub fn since(&self, before: &Self) -> Used {
        let gained = |now: &HashMap<u32, Duration>, before: &HashMap<u32, Duration>| {
            now.iter()
                .map(|(pid, used)| used.saturating_sub(before.get(pid).copied().unwrap_or_default()))
                .sum()
        };
        Used {
            postgres: gained(&self.backends, &before.backends),
            services: gained(&self.services, &before.services),
        }
    }
}

impl std::ops::AddAssign for Used {
    fn add_assign(&mut self, more: Self) {
        self.postgres += more.postgres;
        self.services += more.services;
    }
}

/// What a process has used so far; nothing when it has ended.
fn of(pid: u32) -> Duration {
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
