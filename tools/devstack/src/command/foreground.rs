//! A command in the foreground, for which something is kept running.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use devstack::process::{Identity, Signal, Watchdog};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Runs it to its end and hands on how it ended. Ctrl-C reaches it directly, since it shares
/// the terminal; it is waited for, so that what it uses is not taken away too early.
pub async fn run(command: &[OsString], variables: &[(&str, String)], watchdog: &Watchdog) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.to_string_lossy()))?;
    let pid = child.id();
    if let Some(pid) = pid {
        watchdog.watch(pid, Signal::TERM);
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("the command is lost")?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(child) = pid.and_then(Identity::of) {
                    child.signal(Signal::TERM);
                }
            }
        }
    };
    if let Some(pid) = pid {
        watchdog.forget(pid);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
