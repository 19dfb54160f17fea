//! A database per test.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use devstack::checkout::{Checkout, built};
use devstack::postgres::{Cluster, server};
use devstack::process::Watchdog;
use devstack::secrets::Secrets;
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
    name: String,
    server: Url,
    secrets: Secrets,
    /// Dropped after the database.
    cluster: Option<Arc<Mutex<Cluster>>>,
}

impl TestDatabase {
    /// An empty database.
    ///
    /// # Errors
    /// When there is no server to make it on.
    pub async fn create() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(url) => Self::on(server::parse(VARIABLE, &url)?, None).await,
            Err(_) => Self::private(&[]).await,
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
        Self::on(url, Some(Arc::new(Mutex::new(cluster)))).await
    }

    async fn on(server: Url, cluster: Option<Arc<Mutex<Cluster>>>) -> Result<Self> {
        let mut random = [0u8; 6];
        getrandom::fill(&mut random).map_err(|error| anyhow!("no random numbers: {error}"))?;
        let name = format!("test_{}", hex::encode(random));
        let client = server::connect(VARIABLE, &server).await?;
        server::create_database(&client, &name).await?;
        Ok(Self {
            name,
            server,
            secrets: Secrets::generate()?,
            cluster,
        })
    }

    /// Its name, which its roles begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address as the server's superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.address().into()
    }

    /// Its address for one of the product's logins: `orchestrator`, `provisioner` or `tenant`,
    /// as `install` makes them.
    ///
    /// # Errors
    /// When the server's address takes no user.
    pub fn url_as(&self, login: &str) -> Result<String> {
        let password = match login {
            "orchestrator" => "ORCHESTRATOR_DB_PASSWORD",
            "provisioner" => "PROVISIONER_DB_PASSWORD",
            "tenant" => "TENANT_DB_PASSWORD",
            other => bail!("there is no login {other}"),
        };
        let mut url = self.address();
        let user = format!("{}_{login}", self.name);
        let set = url
            .set_username(&user)
            .and_then(|()| url.set_password(Some(self.secrets.get(password))));
        set.map_err(|()| anyhow!("{VARIABLE} takes no user"))?;
        Ok(url.into())
    }

    /// The secrets of this installation.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Its private cluster, if it has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<Mutex<Cluster>>> {
        self.cluster.as_ref()
    }

    /// Runs `provisioner install` on it: logins, rights, schemas.
    ///
    /// # Errors
    /// When the program is not built or fails.
    pub async fn install(&self) -> Result<()> {
        let mut command = Command::new(built("provisioner")?);
        command.arg("install").env("ADMIN_DATABASE_URL", self.url());
        for name in [
            "ORCHESTRATOR_DB_PASSWORD",
            "PROVISIONER_DB_PASSWORD",
            "TENANT_DB_PASSWORD",
        ] {
            command.env(name, self.secrets.get(name));
        }
        let output = tokio::process::Command::from(command)
            .output()
            .await
            .context("provisioner cannot be started")?;
        if !output.status.success() {
            bail!(
                "provisioner install failed ({}): {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// A connection as superuser.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn connect(&self) -> Result<Client> {
        server::connect(VARIABLE, &self.address()).await
    }

    /// A connection as one of the product's logins.
    ///
    /// # Errors
    /// When the server is away or refuses it.
    pub async fn connect_as(&self, login: &str) -> Result<Client> {
        let url = Url::parse(&self.url_as(login)?)?;
        server::connect(VARIABLE, &url).await
    }

    fn address(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.cluster.is_some() {
            return; // it goes with its cluster
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread with a runtime of its own: this may run inside the test's, also while it panics.
        let clean_up = thread::spawn(move || -> Result<()> {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = server::connect(VARIABLE, &server).await?;
                server::drop_database(&client, &name).await
            })
        });
        if let Ok(Err(error)) = clean_up.join() {
            eprintln!("the database {} is left behind: {error:#}", self.name);
        }
    }
}
