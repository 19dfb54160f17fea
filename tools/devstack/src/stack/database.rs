//! The database of a stack: its logins, and the installation that makes them.

use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use url::Url;

use crate::checkout::built;
use crate::secrets::Secrets;

/// Logins and the names of their passwords.
const LOGINS: [(&str, &str); 3] = [
    ("orchestrator", "ORCHESTRATOR_DB_PASSWORD"),
    ("provisioner", "PROVISIONER_DB_PASSWORD"),
    ("tenant", "TENANT_DB_PASSWORD"),
];

/// A database with the product's logins.
#[derive(Clone)]
pub struct Database {
    admin: Url,
    secrets: Secrets,
}

impl Database {
    /// `admin` is its address as superuser or owner.
    #[must_use]
    pub fn new(admin: Url, secrets: Secrets) -> Self {
        Self { admin, secrets }
    }

    /// Its address as superuser or owner.
    #[must_use]
    pub fn admin(&self) -> &Url {
        &self.admin
    }

    /// The passwords of its logins and the other secrets of the installation.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Its name, which its roles begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.admin.path().trim_start_matches('/')
    }

    /// Its address for a login: `orchestrator`, `provisioner` or `tenant`.
    ///
    /// # Errors
    /// When there is no such login.
    pub fn url_as(&self, login: &str) -> Result<Url> {
        let Some((_, password)) = LOGINS.iter().find(|(name, _)| *name == login) else {
            bail!("there is no login {login}");
        };
        let mut url = self.admin.clone();
        let user = format!("{}_{login}", self.name());
        let set = url
            .set_username(&user)
            .and_then(|()| url.set_password(Some(self.secrets.get(password))));
        set.map_err(|()| anyhow!("the database's address takes no user"))?;
        Ok(url)
    }

    /// Runs `provisioner install` on it: logins, rights, schemas. Does no harm when repeated.
    ///
    /// # Errors
    /// When the program is not built or fails.
    pub async fn install(&self) -> Result<()> {
        let mut command = Command::new(built("provisioner")?);
        command.arg("install").env("ADMIN_DATABASE_URL", self.admin.as_str());
        for (_, password) in LOGINS {
            command.env(password, self.secrets.get(password));
        }
        let output = tokio::process::Command::from(command)
            .output()
            .await
            .context("provisioner cannot be started")?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "provisioner install failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&said).trim()
        )
    }
}
