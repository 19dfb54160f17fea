//! Ends the children of a process that was killed without a chance to clean up.
//!
//! A small shell holds the reading end of a pipe. While its starter lives, it notes which
//! processes to watch; when the pipe closes, which the kernel does at any kind of death, it
//! stops what is still on the list. Unlike a parent-death signal this needs no unsafe code and
//! does not depend on which thread started a child.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::Signal;

/// Last come, first stopped: what was started later rests on what was started before.
const SCRIPT: &str = r#"
list=
while read -r act pid signal; do
    case $act in
        watch) list="$signal:$pid $list" ;;
        forget) rest=; for entry in $list; do [ "${entry#*:}" = "$pid" ] || rest="$rest $entry"; done; list=$rest ;;
    esac
done
for entry in $list; do kill -s "${entry%%:*}" "${entry#*:}" 2>/dev/null; done
tries=100
while [ -n "$list" ] && [ $tries -gt 0 ]; do
    rest=; for entry in $list; do ! kill -0 "${entry#*:}" 2>/dev/null || rest="$rest $entry"; done
    list=$rest; tries=$((tries - 1)); [ -z "$list" ] || sleep 0.1
done
for entry in $list; do kill -s KILL "${entry#*:}" 2>/dev/null; done
"#;

/// A handle on the watching shell; the shell ends with the last handle.
#[derive(Debug, Clone)]
pub struct Watchdog(Arc<Mutex<Shell>>);

#[derive(Debug)]
struct Shell {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the shell.
    ///
    /// # Errors
    /// When there is no `sh`.
    pub fn start() -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's group: Ctrl-C must not end it before its starter.
            .process_group(0)
            .spawn()
            .context("sh is missing: a POSIX shell is needed to watch over the processes")?;
        let orders = child.stdin.take();
        Ok(Self(Arc::new(Mutex::new(Shell { child, orders }))))
    }

    /// Stops that process when this one dies.
    pub fn watch(&self, pid: u32, signal: Signal) {
        let signal = if signal == Signal::INT { "INT" } else { "TERM" };
        self.order(&format!("watch {pid} {signal}\n"));
    }

    /// That process has ended.
    pub fn forget(&self, pid: u32) {
        self.order(&format!("forget {pid}\n"));
    }

    fn order(&self, line: &str) {
        let mut shell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &mut shell.orders {
            // Somebody killed the shell: then there is only the ordinary clean-up.
            let _ = orders.write_all(line.as_bytes());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}
