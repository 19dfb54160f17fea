//! A private PostgreSQL cluster: made, started on a free loopback port, stopped, made anew.

mod account;
mod binaries;
mod home;
pub mod server;

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use url::Url;

use self::account::Account;
use self::binaries::Binaries;
pub use self::binaries::PROGRAMS;
use crate::checkout::Checkout;
use crate::port;
use crate::process::{Identity, Manners, Process, Signal, Watchdog};
use crate::secrets::Secrets;

/// Recovery after a crash can take its time; a healthy start takes a fifth of a second.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a start is tried again when something that passes is in its way.
const RETRY_LIMIT: Duration = Duration::from_secs(15);
/// "Fast shutdown": sessions are disconnected, nothing is lost.
const MANNERS: Manners = Manners {
    signal: Signal::INT,
    grace: Duration::from_secs(20),
};
/// For clusters that nobody will miss.
const CARELESS: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
];

/// A cluster of this checkout. Dropping it stops it; a throwaway one is removed as well.
pub struct Cluster {
    binaries: Binaries,
    account: Option<Account>,
    /// Holds `data` and `port`.
    dir: PathBuf,
    log: PathBuf,
    password: String,
    settings: Vec<(String, String)>,
    throwaway: bool,
    watchdog: Watchdog,
    running: Option<(Process, u16)>,
}

impl Cluster {
    /// The checkout's lasting cluster, made when there is none yet. Not started.
    ///
    /// # Errors
    /// When PostgreSQL is nowhere to be had, or the folder cannot be used.
    pub fn lasting(checkout: &Checkout, secrets: &Secrets, watchdog: &Watchdog) -> Result<Self> {
        let account = Account::needed()?;
        let home = home::find(checkout, account.as_ref())?;
        let dir = home.join("main");
        let data = dir.join("data");
        let major = fs::read_to_string(data.join("PG_VERSION"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let binaries = Binaries::find(&home, major)?;
        make_folder(&dir, account.as_ref())?;
        if major.is_none() {
            eprintln!("making a private PostgreSQL {} in {}", binaries.version, dir.display());
            // What an interrupted attempt left behind.
            let _ = fs::remove_dir_all(&data);
            initialize(&binaries, account.as_ref(), &dir, secrets.get("POSTGRES_PASSWORD"), &[])?;
        }
        Ok(Self {
            binaries,
            account,
            dir,
            log: checkout.folder("log")?.join("postgres.log"),
            password: secrets.get("POSTGRES_PASSWORD").to_owned(),
            settings: Vec::new(),
            throwaway: false,
            watchdog: watchdog.clone(),
            running: None,
        })
    }

    /// A fresh cluster for tests, copied from a template that is made once; not durable.
    /// `settings` are options of `postgresql.conf`. Not started.
    ///
    /// # Errors
    /// As for [`Cluster::lasting`].
    pub fn throwaway(checkout: &Checkout, settings: &[(&str, &str)], watchdog: &Watchdog) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let account = Account::needed()?;
        let home = home::find(checkout, account.as_ref())?;
        let binaries = Binaries::find(&home, None)?;
        let password = Secrets::of(&checkout.state()?)?.get("POSTGRES_PASSWORD").to_owned();
        let template = template(&home, &binaries, account.as_ref(), &password)?;
        remove_abandoned(&home);

        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = home.join(format!("run-{}-{number}", std::process::id()));
        make_folder(&dir, account.as_ref())?;
        if let Some(me) = Identity::of(std::process::id()) {
            fs::write(dir.join("owner"), me.to_string()).context("a cluster's owner cannot be noted")?;
        }
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(template.join("data")).arg(dir.join("data"));
        run_as(copy, account.as_ref(), &dir)?;
        let settings = CARELESS
            .iter()
            .chain(settings)
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self {
            binaries,
            account,
            log: dir.join("log"),
            dir,
            password,
            settings: settings.collect(),
            throwaway: true,
            watchdog: watchdog.clone(),
            running: None,
        })
    }

    /// Starts it, on the port of the last time when that is free. Returns when it takes connections.
    ///
    /// # Errors
    /// When it stops early or does not get ready.
    pub fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.clear_stale_lock()?;
        let end = Instant::now() + RETRY_LIMIT;
        loop {
            let port = self.choose_port()?;
            let error = match self.start_on(port) {
                Ok(process) => {
                    fs::write(self.dir.join("port"), port.to_string()).context("the port cannot be noted")?;
                    self.running = Some((process, port));
                    return Ok(());
                }
                Err(error) => error,
            };
            let taken = !port::is_free(([127, 0, 0, 1], port).into());
            // After a crash the old server's last processes take a moment to notice.
            let dying = error.to_string().contains("pre-existing shared memory block");
            if !(taken || dying) || Instant::now() > end {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it; the data stay.
    pub fn stop(&mut self) {
        if let Some((mut process, _)) = self.running.take() {
            process.stop();
        }
    }

    /// Kills it as a power cut would.
    pub fn crash(&mut self) {
        if let Some((mut process, _)) = self.running.take() {
            process.kill();
        }
    }

    /// Stops and starts it, on the same port.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.start()
    }

    /// `15.18`, say.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.binaries.version
    }

    /// The folder of its programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        self.binaries.dir()
    }

    /// The address of one of its databases, as superuser.
    ///
    /// # Errors
    /// When it does not run.
    pub fn url(&self, database: &str) -> Result<Url> {
        let (_, port) = self.running.as_ref().context("the private PostgreSQL does not run")?;
        let url = format!("postgresql://postgres:{}@127.0.0.1:{port}/{database}", self.password);
        Url::parse(&url).context("a generated address is no URL")
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.running.as_ref().map(|(process, _)| process)
    }

    /// Fails with the end of its log when it has stopped by itself.
    ///
    /// # Errors
    /// That.
    pub fn require_alive(&mut self) -> Result<()> {
        self.running
            .as_mut()
            .map_or(Ok(()), |(process, _)| process.require_alive())
    }

    fn start_on(&self, port: u16) -> Result<Process> {
        let mut command = Command::new(self.binaries.program("postgres"));
        command.arg("-D").arg(self.dir.join("data"));
        // No socket file: nothing outside this folder, and no limit on the length of its path.
        let always = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("timezone", "UTC"),
        ];
        for (name, value) in always {
            command.args(["-c", &format!("{name}={value}")]);
        }
        command.args(["-c", &format!("port={port}")]);
        for (name, value) in &self.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        as_account(&mut command, self.account.as_ref(), &self.dir);
        let mut process = Process::spawn("postgres", command, &self.log, MANNERS, &self.watchdog)?;
        let end = Instant::now() + START_LIMIT;
        while !self.is_ready(process.id()) {
            process.require_alive()?;
            if Instant::now() > end {
                bail!(
                    "PostgreSQL does not get ready; the end of {}:\n{}",
                    self.log.display(),
                    process.last_lines(12)
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    /// What `pg_ctl -w` looks at: the eighth line of the lock file.
    fn is_ready(&self, pid: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.lock_file()) else {
            return false;
        };
        let mut lines = text.lines();
        lines.next().is_some_and(|first| first.trim() == pid.to_string())
            && lines.nth(6).is_some_and(|status| status.trim() == "ready")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("data/postmaster.pid")
    }

    /// A lock file remains when a starter was killed with all it had, or the machine stopped.
    /// Its pid may be a postmaster that is still here, or by now any other process, which
    /// PostgreSQL would take for one.
    fn clear_stale_lock(&self) -> Result<()> {
        let Ok(text) = fs::read_to_string(self.lock_file()) else {
            return Ok(());
        };
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        if let Some(postmaster) = pid.filter(|&pid| is_postgres(pid)).and_then(Identity::of) {
            eprintln!("stopping the PostgreSQL that an earlier run left behind");
            postmaster.signal(MANNERS.signal);
            let end = Instant::now() + MANNERS.grace;
            while postmaster.is_alive() {
                if Instant::now() > end {
                    postmaster.signal(Signal::KILL);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        match fs::remove_file(self.lock_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", self.lock_file().display()))
            }
            _ => Ok(()),
        }
    }

    fn choose_port(&self) -> Result<u16> {
        let last = fs::read_to_string(self.dir.join("port"))
            .ok()
            .and_then(|text| text.trim().parse::<u16>().ok());
        match last {
            Some(port) if port::is_free(([127, 0, 0, 1], port).into()) => Ok(port),
            _ => port::free(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.throwaway {
            // Nothing in it is worth a checkpoint.
            self.crash();
            let _ = fs::remove_dir_all(&self.dir);
        } else {
            self.stop();
        }
    }
}

/// A folder that only PostgreSQL's user may enter.
fn make_folder(dir: &Path, account: Option<&Account>) -> Result<()> {
    let make = || -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        account.map_or(Ok(()), |account| chown(dir, Some(account.uid), Some(account.gid)))
    };
    make().with_context(|| format!("{} cannot be made", dir.display()))
}

/// A cluster that was initialised once and never started.
fn template(home: &Path, binaries: &Binaries, account: Option<&Account>, password: &str) -> Result<PathBuf> {
    let dir = home.join(format!("template-{}", binaries.version));
    // Tests are processes, and several may come here first.
    let lock = File::create(home.join("template.lock")).context("the template's lock cannot be made")?;
    lock.lock().context("the template's lock cannot be taken")?;
    if dir.join("ready").exists() && fs::read_to_string(dir.join("ready")).is_ok_and(|made_with| made_with == password)
    {
        return Ok(dir);
    }
    let _ = fs::remove_dir_all(&dir);
    make_folder(&dir, account)?;
    initialize(binaries, account, &dir, password, &["--no-sync"])?;
    let mut ready = File::options();
    ready.create(true).write(true).truncate(true).mode(0o600);
    let note = ready
        .open(dir.join("ready"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, password.as_bytes()));
    note.context("the template cannot be marked")?;
    Ok(dir)
}

fn initialize(binaries: &Binaries, account: Option<&Account>, dir: &Path, password: &str, more: &[&str]) -> Result<()> {
    let secret = dir.join("password");
    let write = || -> std::io::Result<()> {
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&secret)?;
        std::io::Write::write_all(&mut file, password.as_bytes())?;
        account.map_or(Ok(()), |account| chown(&secret, Some(account.uid), Some(account.gid)))
    };
    write().context("initdb's password file cannot be written")?;
    // Rows sort alike on every machine; upper and lower case of all alphabets are known where
    // the system has that locale.
    let character_type = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
    let mut initdb = Command::new(binaries.program("initdb"));
    initdb
        .arg("-D")
        .arg(dir.join("data"))
        .args(["-U", "postgres", "-E", "UTF8", "--auth=scram-sha-256"]);
    initdb.args([
        "--locale=C",
        &format!("--lc-ctype={character_type}"),
        "--no-instructions",
    ]);
    initdb.arg(format!("--pwfile={}", secret.display())).args(more);
    let done = run_as(initdb, account, dir);
    let _ = fs::remove_file(&secret);
    done
}

fn run_as(mut command: Command, account: Option<&Account>, dir: &Path) -> Result<()> {
    as_account(&mut command, account, dir);
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn as_account(command: &mut Command, account: Option<&Account>, dir: &Path) {
    if let Some(account) = account {
        account.apply(command);
    }
    // The caller's own folder may be closed to that user, and its locale may not exist here.
    command.current_dir(dir).env_remove("PGDATA").env("LC_ALL", "C");
}

fn is_postgres(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => name.trim().starts_with("postgres"),
        // Without /proc: believe PostgreSQL's own lock file.
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// Clusters whose starters were killed.
fn remove_abandoned(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with("run-") {
            continue;
        }
        let owner = fs::read_to_string(entry.path().join("owner")).ok();
        let owner = owner.and_then(|text| text.parse::<Identity>().ok());
        // Without a note it may be one that is being made right now.
        if owner.is_some_and(|owner| !owner.is_alive()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
