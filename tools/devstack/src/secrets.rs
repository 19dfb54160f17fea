//! Secrets of a checkout: made once, kept in `.devstack/secrets`, readable by their owner only.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

/// Names of all secrets, as in the file and in the services' environment.
const NAMES: [&str; 6] = [
    "POSTGRES_PASSWORD",
    "ORCHESTRATOR_DB_PASSWORD",
    "PROVISIONER_DB_PASSWORD",
    "TENANT_DB_PASSWORD",
    "INTERNAL_API_SECRET",
    "JWT_SECRET",
];

/// The secrets of one installation. Has no `Debug`: nothing prints it by accident.
#[derive(Clone)]
pub struct Secrets(BTreeMap<&'static str, String>);

impl Secrets {
    /// Fresh ones, kept nowhere.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self> {
        NAMES
            .into_iter()
            .map(|name| Ok((name, random()?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Those of the checkout; what is missing is made and stored.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn of(state: &Path) -> Result<Self> {
        let path = state.join("secrets");
        let stored = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let known: BTreeMap<_, _> = stored.lines().filter_map(|line| line.split_once('=')).collect();
        let mut secrets = Self::generate()?;
        for (name, value) in &mut secrets.0 {
            if let Some(stored) = known.get(name) {
                *value = (*stored).to_owned();
            }
        }
        if known.len() < NAMES.len() {
            secrets.store(&path)?;
        }
        Ok(secrets)
    }

    /// The secret of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn store(&self, path: &Path) -> Result<()> {
        // Written aside and renamed, so that two starts at once cannot leave half a file.
        let aside = path.with_extension(std::process::id().to_string());
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&aside)?;
            for (name, value) in &self.0 {
                writeln!(file, "{name}={value}")?;
            }
            fs::rename(&aside, path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn random() -> Result<String> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers from the operating system: {error}"))?;
    Ok(hex::encode(bytes))
}
