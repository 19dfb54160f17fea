//! The folder that holds a checkout's clusters.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::account::Account;
use crate::checkout::Checkout;

/// `.devstack/postgres`, or a folder under `/var/tmp` when PostgreSQL's user cannot enter the
/// checkout (one below `/root`, say). `.devstack/postgres-home` names the one in use.
pub(super) fn find(checkout: &Checkout, account: Option<&Account>) -> Result<PathBuf> {
    let inside = checkout.folder("postgres")?;
    let Some(account) = account else { return Ok(inside) };
    let home = if account.reaches(&inside) {
        inside
    } else {
        outside(checkout.root(), account)?
    };
    let note = checkout.state()?.join("postgres-home");
    fs::write(&note, format!("{}\n", home.display()))
        .with_context(|| format!("{} cannot be written", note.display()))?;
    Ok(home)
}

fn outside(root: &Path, account: &Account) -> Result<PathBuf> {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let home = Path::new("/var/tmp").join(format!("livepreview-{}", hex::encode(&digest[..8])));
    match fs::DirBuilder::new().mode(0o755).create(&home) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be made", home.display())),
    }
    // Anybody may write to /var/tmp: a folder put there by somebody else is not trusted.
    let meta = fs::symlink_metadata(&home).with_context(|| format!("{} cannot be read", home.display()))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to somebody else: remove it", home.display());
    }
    if !account.reaches(&home) {
        bail!(
            "PostgreSQL's user cannot enter {}: make /var/tmp accessible or run as an ordinary user",
            home.display()
        );
    }
    Ok(home)
}
