//! What `up` notes about the processes that it started, for `down`, `status` and the next `up`.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use devstack::checkout::Checkout;
use devstack::process::{Identity, Signal};

/// Longer than the services' own grace, which runs inside it.
const PATIENCE: Duration = Duration::from_secs(45);

/// The note in `.devstack/pids`: a line with name, pid and start time for each process, the
/// `devstack` that started the others first.
pub struct Record {
    path: PathBuf,
}

impl Record {
    pub fn of(checkout: &Checkout) -> Result<Self> {
        Ok(Self {
            path: checkout.state()?.join("pids"),
        })
    }

    /// Notes processes that run now.
    pub fn write<'a>(&self, processes: impl IntoIterator<Item = (&'a str, u32)>) -> Result<()> {
        let mut text = String::new();
        for (name, pid) in processes {
            if let Some(identity) = Identity::of(pid) {
                text.push_str(&format!("{name} {identity}\n"));
            }
        }
        fs::write(&self.path, text).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// The noted processes that still run.
    pub fn running(&self) -> Vec<(String, Identity)> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let noted = text.lines().filter_map(|line| {
            let (name, identity) = line.split_once(' ')?;
            Some((name.to_owned(), identity.parse::<Identity>().ok()?))
        });
        noted.filter(|(_, identity)| identity.is_alive()).collect()
    }

    /// Stops what still runs, the first noted process first: it stops the others in order.
    pub fn stop_all(&self) -> Result<()> {
        for (name, identity) in self.running() {
            identity.signal(Signal::TERM);
            let end = Instant::now() + PATIENCE;
            while identity.is_alive() {
                if Instant::now() > end {
                    identity.signal(Signal::KILL);
                    if Instant::now() > end + Duration::from_secs(5) {
                        bail!("{name} (pid {}) does not stop: end it by hand", identity.pid());
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        self.clear();
        Ok(())
    }

    pub fn clear(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Held by a running `up`: there is one per checkout.
pub fn lock(checkout: &Checkout) -> Result<File> {
    let path = checkout.state()?.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be written: run as the owner of it", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("Live Preview runs from this checkout already: use it, or stop it with make down")
        }
        Err(TryLockError::Error(error)) => Err(anyhow!(error).context(format!("{} cannot be locked", path.display()))),
    }
}
