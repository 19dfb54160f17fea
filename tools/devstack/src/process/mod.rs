//! A child process: started with a log of its own, stopped politely, never left behind.

mod identity;
mod watchdog;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
pub use rustix::process::Signal;

pub use identity::Identity;
pub use watchdog::Watchdog;

/// How a process is to be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// The polite signal.
    pub signal: Signal,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

/// A running child. Dropping it stops it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where this run's part of the log begins.
    log_start: u64,
    manners: Manners,
    watchdog: Watchdog,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    ///
    /// It gets a process group of its own: Ctrl-C in a terminal reaches only whoever started
    /// it, who then stops its children in order.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path, manners: Manners, watchdog: &Watchdog) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let log_start = file.metadata().map_or(0, |meta| meta.len());
        let second = file.try_clone().context("a log cannot be shared")?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(second)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", Path::new(&program).display()))?;
        watchdog.watch(child.id(), manners.signal);
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            log_start,
            manners,
            watchdog: watchdog.clone(),
            ended: None,
        })
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, when it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                self.watchdog.forget(self.child.id());
            }
        }
        self.ended
    }

    /// An error that names it, how it ended and its last lines, when it has ended.
    ///
    /// # Errors
    /// That error.
    pub fn require_alive(&mut self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(anyhow!(
                "{} stopped early ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                indent(&self.last_lines(12))
            )),
        }
    }

    /// What this run wrote to its log.
    #[must_use]
    pub fn output(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_start))?;
            file.read_to_end(&mut text)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("{} cannot be read: {error}", self.log.display()),
        }
    }

    /// The last lines of this run's log.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Sends a signal; a process that has ended takes no notice.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            send(self.child.id(), signal);
        }
    }

    /// Asks it to stop without waiting.
    pub fn ask_to_stop(&mut self) {
        self.signal(self.manners.signal);
    }

    /// Stops it: politely, and by force once its grace is over. Waits until it is gone.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.ask_to_stop();
        let status = self.wait(self.manners.grace);
        if status.is_some() { status } else { self.kill() }
    }

    /// Kills it at once and waits until it is gone.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10))
    }

    /// Waits for its end, `limit` at most.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A paused process would sleep through the polite signal.
        self.signal(Signal::CONT);
        self.stop();
    }
}

/// Sends a signal to a process that may be gone.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // The only other outcome is "no such process", which is what a caller wants anyway.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
