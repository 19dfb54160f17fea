//! A database per test.

use std::thread;

use anyhow::{Result, anyhow};
use devstack::checkout::Checkout;
use devstack::environment::variable;
use devstack::postgres::{Cluster, server};
use devstack::process::Watchdog;
use devstack::secrets::Secrets;
use devstack::stack::Database;
use tokio::runtime;
use tokio::sync::Mutex;
use tokio_postgres::Client;
use url::Url;

/// Where the shared server of a test run is told.
const VARIABLE: &str = "TEST_DATABASE_URL";

/// A database of one test, dropped together with its roles at the end, also of a failed test.
///
/// It is made on the server of `TEST_DATABASE_URL` (`make test` starts one). Without that
/// variable the test gets a private cluster, half a second later.
pub struct TestDatabase {
    database: Database,
    server: Url,
    /// Dropped after the database.
    cluster: Option<Mutex<Cluster>>,
}

impl TestDatabase {
    /// An empty database.
    ///
    /// # Errors
    /// When there is no server to make it on.
    pub async fn create() -> Result<Self> {
        match variable(VARIABLE) {
            Some(url) => Self::on(server::parse(VARIABLE, &url)?, None).await,
            None => Self::private(&[]).await,
        }
    }

    /// An empty database on a cluster of its own, which the test may stop, restart and crash.
    /// `settings` are options of `postgresql.conf`.
    ///
    /// # Errors
    /// When the cluster cannot be started.
    pub async fn private(settings: &[(&str, &str)]) -> Result<Self> {
        let checkout = Checkout::find()?;
        let mut cluster = Cluster::throwaway(&checkout, settings, &Watchdog::start()?)?;
        cluster.start()?;
        let url = cluster.url("postgres")?;
        Self::on(url, Some(Mutex::new(cluster))).await
    }

    /// Another empty database on the same server, for tests about two installations.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sibling(&self) -> Result<Self> {
        Self::on(self.server.clone(), None).await
    }

    async fn on(server: Url, cluster: Option<Mutex<Cluster>>) -> Result<Self> {
        let mut random = [0u8; 6];
        getrandom::fill(&mut random).map_err(|error| anyhow!("no random numbers: {error}"))?;
        let name = format!("test_{}", hex::encode(random));
        let client = server::connect(VARIABLE, &server).await?;
        server::create_database(&client, &name).await?;
        let mut admin = server.clone();
        admin.set_path(&name);
        Ok(Self {
            database: Database::new(admin, Secrets::generate()?),
            server,
            cluster,
        })
    }

    /// Its name, which its roles begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.database.name()
    }

    /// Its addresses and the secrets of this installation.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its address as the server's superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.database.admin().to_string()
    }

    /// Its address for one of the product's logins: `orchestrator`, `provisioner` or `tenant`,
    /// as `install` makes them.
    ///
    /// # Errors
    /// When there is no such login.
    pub fn url_as(&self, login: &str) -> Result<String> {
        Ok(self.database.url_as(login)?.into())
    }

    /// The secrets of this installation.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        self.database.secrets()
    }

    /// Its private cluster, if it has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Mutex<Cluster>> {
        self.cluster.as_ref()
    }

    /// Runs `provisioner install` on it: logins, rights, schemas.
    ///
    /// # Errors
    /// When the program is not built or fails.
    pub async fn install(&self) -> Result<()> {
        self.database.install().await
    }

    /// A connection as superuser.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn connect(&self) -> Result<Client> {
        server::connect(VARIABLE, self.database.admin()).await
    }

    /// A connection as one of the product's logins.
    ///
    /// # Errors
    /// When the server is away or refuses it.
    pub async fn connect_as(&self, login: &str) -> Result<Client> {
        server::connect(VARIABLE, &self.database.url_as(login)?).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.cluster.is_some() {
            return; // it goes with its cluster
        }
        let (server, name) = (self.server.clone(), self.name().to_owned());
        // A thread with a runtime of its own: this may run inside the test's, also while it panics.
        let clean_up = thread::spawn(move || -> Result<()> {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = server::connect(VARIABLE, &server).await?;
                server::drop_database(&client, &name).await
            })
        });
        if let Ok(Err(error)) = clean_up.join() {
            eprintln!("the database {} is left behind: {error:#}", self.name());
        }
    }
}
