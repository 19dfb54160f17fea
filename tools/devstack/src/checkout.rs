//! The checkout that a command works in, and where it keeps what it makes.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A working copy of this repository.
#[derive(Debug, Clone)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The checkout around the current directory.
    ///
    /// # Errors
    /// When no parent of the current directory is one.
    pub fn find() -> Result<Self> {
        let here = env::current_dir().context("the current directory is gone")?;
        let root = here
            .ancestors()
            .find(|dir| dir.join("tools/devstack/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => bail!(
                "{} is not inside a checkout of Live Preview: change into one",
                here.display()
            ),
        }
    }

    /// The one with that top folder.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `.devstack`, made when it is missing: everything in it can be thrown away.
    ///
    /// # Errors
    /// When it cannot be made or belongs to somebody else.
    pub fn state(&self) -> Result<PathBuf> {
        self.folder(".")
    }

    /// A folder below `.devstack`, made when it is missing.
    ///
    /// # Errors
    /// As for [`Checkout::state`].
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = match name {
            "." => self.root.join(".devstack"),
            name => self.root.join(".devstack").join(name),
        };
        match fs::create_dir_all(&dir) {
            Ok(()) => Ok(dir),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
                "{} cannot be written by this user: remove it or run as its owner",
                dir.display()
            ),
            Err(error) => Err(error).with_context(|| format!("{} cannot be made", dir.display())),
        }
    }
}

/// The program `name` that Cargo built beside the running one (a test runs from `deps/`).
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let me = env::current_exe().context("the path of the running program is unknown")?;
    let mut dir = me.parent().context("the running program has no folder")?;
    if dir.ends_with("deps") {
        dir = dir.parent().unwrap_or(dir);
    }
    let path = dir.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        bail!("{} is not built: run cargo build --workspace", path.display())
    }
}
