//! What the figures were measured on.

use std::{fs, process::Command};

use anyhow::Result;

use crate::stack::Stack;

/// Prints machine, commit and PostgreSQL.
pub async fn print(stack: &Stack) -> Result<()> {
    let row = stack
        .database()
        .query_one(
            "SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'),
                current_setting('synchronous_commit')",
            &[],
        )
        .await?;
    let [version, fsync, synchronous]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "- machine: {}, {cores} cores, {} GiB, Linux {}, load {} before",
        first("/proc/cpuinfo", "model name"),
        gib(&first("/proc/meminfo", "MemTotal")),
        said("uname", &["-r"]),
        fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or("?"),
    );
    let changed = if said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        ""
    } else {
        " with changes"
    };
    println!(
        "- commit: {}{changed}, {profile} build, {}",
        said("git", &["describe", "--always", "--abbrev=10"]),
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
    );
    println!(
        "- PostgreSQL {version}, fsync {fsync}, synchronous_commit {synchronous}; load generator on the same machine"
    );
    Ok(())
}

/// The value of the first line of that name.
fn first(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':')
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn gib(kib: &str) -> String {
    let kib = kib.split(' ').next().and_then(|text| text.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).div_ceil(1024).to_string())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
