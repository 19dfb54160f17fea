//! Whom PostgreSQL runs as: it refuses to run as root.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// An unprivileged user of this machine, when the caller is root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// Nobody when the caller is not root: then everything runs as the caller.
    pub fn needed() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        for name in ["postgres", "nobody"] {
            if let Some(account) = users.lines().find_map(|line| Self::from_line(line, name)) {
                return Ok(Some(account));
            }
        }
        bail!(
            "PostgreSQL refuses to run as root and there is no user postgres or nobody: add one or run as another user"
        )
    }

    fn from_line(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }

    /// Whether that user may enter the folder.
    pub fn reaches(&self, dir: &Path) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", "cd \"$1\"", "sh"]).arg(dir).current_dir("/");
        self.apply(&mut command);
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// Makes the command run as that user, without further groups.
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_its_own_line_only() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(
            Account::from_line(line, "postgres"),
            Some(Account { uid: 101, gid: 104 })
        );
        assert_eq!(Account::from_line(line, "nobody"), None);
        assert_eq!(Account::from_line("postgres:x:", "postgres"), None);
    }
}
