//! `make up` and `make down`, as a newcomer uses them: in a checkout of their own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use devstack::checkout::built;
use devstack::port;
use testkit::TestDatabase;

/// Variables with the addresses of the services.
const ADDRESSES: [&str; 7] = [
    "ORCHESTRATOR_HTTP_ADDR",
    "ORCHESTRATOR_GRPC_ADDR",
    "ORCHESTRATOR_ADMIN_ADDR",
    "PROVISIONER_GRPC_ADDR",
    "PROVISIONER_ADMIN_ADDR",
    "TENANT_API_HTTP_ADDR",
    "TENANT_API_ADMIN_ADDR",
];

/// A checkout in which nothing was started yet, and free ports.
struct Checkout {
    root: PathBuf,
    ports: Vec<(&'static str, SocketAddr)>,
}

impl Checkout {
    fn new() -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("livepreview-up-{}-{number}", std::process::id()));
        fs::create_dir_all(root.join("tools/devstack"))?;
        fs::write(root.join("tools/devstack/Cargo.toml"), "")?;
        let free = |name| anyhow::Ok((name, SocketAddr::from(([127, 0, 0, 1], port::free()?))));
        let ports = ADDRESSES.into_iter().map(free).collect::<Result<_>>()?;
        Ok(Self { root, ports })
    }

    fn devstack(&self, command: &str) -> Result<Command> {
        let mut devstack = Command::new(built("devstack")?);
        devstack
            .arg(command)
            .current_dir(&self.root)
            .env_remove("DATABASE_URL")
            .env_remove("CONTROL_DATABASE_URL")
            .envs(self.ports.iter().map(|(name, address)| (name, address.to_string())));
        Ok(devstack)
    }

    /// Runs a command to its end.
    fn run(&self, command: &str, environment: &[(&str, &str)]) -> Result<Output> {
        let mut devstack = self.devstack(command)?;
        Ok(devstack.envs(environment.iter().copied()).output()?)
    }

    /// Starts all of it, and waits until it is ready.
    fn up(&self, environment: &[(&str, &str)]) -> Result<Up> {
        let started = Instant::now();
        let mut devstack = self.devstack("up")?;
        devstack.envs(environment.iter().copied());
        let mut child = devstack.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let mut said = String::new();
        while !said.contains("Ready after ") {
            let Some(line) = lines.next() else {
                let mut progress = String::new();
                child.stderr.take().context("a pipe")?.read_to_string(&mut progress)?;
                anyhow::bail!("it ended with {}: {said}{progress}", child.wait()?);
            };
            said.push_str(&line?);
            said.push('\n');
        }
        println!("up after {:?}", started.elapsed());
        Ok(Up { child, said })
    }

    fn listening(&self) -> Vec<&str> {
        let listens = |address: &SocketAddr| TcpStream::connect(address).is_ok();
        let on = self.ports.iter().filter(|(_, address)| listens(address));
        on.map(|(name, _)| *name).collect()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = self.run("down", &[]);
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// What runs, and what it said until it was ready.
struct Up {
    child: Child,
    said: String,
}

impl Up {
    /// Ctrl-C. What it told of its progress, all of it.
    fn interrupt(mut self) -> Result<String> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success());
        self.ended()
    }

    /// Waits for its end.
    fn ended(&mut self) -> Result<String> {
        let mut progress = String::new();
        let mut pipe = self.child.stderr.take().context("a pipe")?;
        pipe.read_to_string(&mut progress)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {progress}");
        Ok(progress)
    }

    /// The lines to paste.
    fn lines(&self) -> Result<&str> {
        let (_, rest) = self.said.split_once("Paste:\n").context("lines to paste")?;
        Ok(rest.split_once("\n\nReady after").context("an end of them")?.0)
    }

    fn token(&self) -> Result<String> {
        let (_, rest) = self.said.split_once("X-Preview-Session: ").context("a session")?;
        Ok(rest.chars().take_while(char::is_ascii_alphanumeric).collect())
    }
}

#[test]
fn one_command_starts_everything_and_another_ends_it() -> Result<()> {
    let checkout = Checkout::new()?;
    let up = checkout.up(&[])?;
    assert_eq!(checkout.listening().len(), ADDRESSES.len());
    let pasted = Command::new("bash").args(["-euc", up.lines()?]).output()?;
    let answers = String::from_utf8_lossy(&pasted.stdout).into_owned();
    let is_fine = |line: &str| line.is_empty() || line.starts_with(r#"{"success":true"#);
    assert!(pasted.status.success() && answers.lines().all(is_fine), "{answers}");
    assert!(answers.contains("is confirmed"), "the order's mail: {answers}");
    assert!(answers.contains(r#""ended":true"#), "the last one: {answers}");
    let status = checkout.run("status", &[])?;
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && shown.contains("orchestrator"), "{status:?}");
    let token = up.token()?;
    up.interrupt()?;
    assert_eq!(checkout.listening(), Vec::<&str>::new());
    assert!(!checkout.run("status", &[])?.status.success());

    // The lines ended that session; the next one outlives a stop.
    let second = checkout.up(&[])?;
    let kept = second.token()?;
    assert_ne!(kept, token);
    second.interrupt()?;
    let mut again = checkout.up(&[])?;
    assert_eq!(again.token()?, kept);
    let down = checkout.run("down", &[])?;
    let stopped = String::from_utf8_lossy(&down.stdout).into_owned();
    assert!(down.status.success() && stopped.contains("postgres"), "{down:?}");
    again.ended()?;
    assert_eq!(checkout.listening(), Vec::<&str>::new());
    Ok(())
}

#[test]
fn what_is_in_the_way_is_told_in_one_sentence_and_nothing_is_left_running() -> Result<()> {
    let checkout = Checkout::new()?;
    let (variable, address) = checkout.ports[0];
    let taken = TcpListener::bind(address)?;
    let told = |environment: &[(&str, &str)]| {
        let output = checkout.run("up", environment)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        anyhow::Ok(text.trim_end().lines().last().unwrap_or_default().to_owned())
    };
    let line = told(&[])?;
    let expected = format!("port {} is in use", address.port());
    assert!(line.contains(&expected) && line.contains(variable), "{line}");
    drop(taken);
    for (url, said) in [
        (
            "postgresql://u:hunter2@127.0.0.1:1/db",
            "no PostgreSQL answers at 127.0.0.1:1",
        ),
        ("mysql://u:hunter2@127.0.0.1/db", "write postgresql://"),
    ] {
        let line = told(&[("DATABASE_URL", url)])?;
        assert!(line.contains(said), "{line}");
    }
    assert_eq!(checkout.listening(), Vec::<&str>::new());
    assert!(!checkout.run("status", &[])?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_there_is_used_and_left_alone() -> Result<()> {
    let database = TestDatabase::private(&[]).await?;
    let checkout = Checkout::new()?;
    let url = database.url().to_string();
    let up = checkout.up(&[("DATABASE_URL", &url)])?;
    let client = database.connect().await?;
    let sessions = client.query_one("SELECT count(*) FROM control.sessions", &[]).await?;
    assert_eq!(sessions.get::<_, i64>(0), 1);
    let progress = tokio::task::block_in_place(|| up.interrupt())?;
    assert!(progress.contains("using the PostgreSQL of DATABASE_URL"), "{progress}");
    assert!(!progress.contains("PostgreSQL 1"), "none is started: {progress}");
    client.simple_query("SELECT 1").await.context("it still runs")?;
    Ok(())
}
