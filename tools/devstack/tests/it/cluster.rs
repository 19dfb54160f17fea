//! The lasting cluster survives what happens to development machines.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use anyhow::Result;
use devstack::checkout::Checkout;
use devstack::postgres::{Cluster, server};
use devstack::process::Watchdog;
use devstack::secrets::Secrets;
use url::Url;

/// A checkout of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn make(name: &str) -> Result<Self> {
        let root = Checkout::find()?
            .folder("scratch")?
            .join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&root)?;
        Ok(Self(root))
    }

    fn cluster(&self) -> Result<Cluster> {
        let checkout = Checkout::at(&self.0);
        Cluster::lasting(&checkout, &Secrets::of(&checkout.state()?)?, &Watchdog::start()?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn query(url: &Url, statement: &str) -> Result<String> {
    let rows = server::connect("the test's cluster", url)
        .await?
        .simple_query(statement)
        .await?;
    let row = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(row.unwrap_or_default())
}

#[tokio::test]
async fn data_address_and_password_outlive_restarts_and_crashes() -> Result<()> {
    let scratch = Scratch::make("lasting")?;
    let mut cluster = scratch.cluster()?;
    cluster.start()?;
    let url = cluster.url("postgres")?;
    query(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await?;
    assert_eq!(query(&url, "SHOW fsync").await?, "on");
    cluster.crash();
    drop(cluster);

    // The lock file of the crashed postmaster now names a process that is no postmaster.
    let lock = scratch.0.join(".devstack/postgres/main/data/postmaster.pid");
    let stale = fs::read_to_string(&lock)?;
    let rest = stale.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(&lock, format!("{}\n{rest}", std::process::id()))?;

    let mut again = scratch.cluster()?;
    again.start()?;
    assert_eq!(again.url("postgres")?, url);
    assert_eq!(query(&url, "SELECT n FROM kept").await?, "7");
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_given_way() -> Result<()> {
    let scratch = Scratch::make("port")?;
    let mut cluster = scratch.cluster()?;
    cluster.start()?;
    let first = cluster.url("postgres")?.port();
    cluster.stop();
    let taken = std::net::TcpListener::bind(("127.0.0.1", first.unwrap_or_default()))?;
    cluster.start()?;
    assert_ne!(cluster.url("postgres")?.port(), first);
    assert_eq!(query(&cluster.url("postgres")?, "SELECT 1").await?, "1");
    drop(taken);
    Ok(())
}

#[test]
fn an_interrupted_first_start_is_made_good() -> Result<()> {
    let scratch = Scratch::make("interrupted")?;
    let data = scratch.0.join(".devstack/postgres/main/data");
    fs::create_dir_all(&data)?;
    fs::write(data.join("half"), "")?;
    let mut cluster = scratch.cluster()?;
    cluster.start()?;
    let port = cluster.url("postgres")?.port().unwrap_or_default();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    assert!(TcpStream::connect(address).is_ok());
    drop(cluster);
    assert!(TcpStream::connect(address).is_err(), "it stops with its owner");
    Ok(())
}
