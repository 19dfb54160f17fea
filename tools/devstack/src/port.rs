//! Ports of this machine.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};

/// Below the ports that systems give to outgoing connections: those come and go between a look
/// and the start of a server.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Ports that this process has handed out, with the locks that tell others so: who got one listens there only later.
static HANDED_OUT: Mutex<BTreeMap<u16, Option<File>>> = Mutex::new(BTreeMap::new());

/// A loopback port that nobody listens on now, and that nobody else is given as long as this process lives.
///
/// # Errors
/// When none is found.
pub fn free() -> Result<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..200 {
        let mut random = [0u8; 2];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow!("no random numbers from the operating system: {error}"))?;
        let port = RANGE.start + u16::from_le_bytes(random) % (RANGE.end - RANGE.start);
        if handed_out.contains_key(&port) {
            continue;
        }
        let Reserved::Ours(lock) = reserve(port) else { continue };
        if is_free(SocketAddr::from(([127, 0, 0, 1], port))) {
            handed_out.insert(port, lock);
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end)
}

enum Reserved {
    /// By this process; without a lock where none can be had, as in another user's folder.
    Ours(Option<File>),
    /// By another.
    Theirs,
}

/// Reserves a port among all checkouts of this machine. The lock ends with the process.
fn reserve(port: u16) -> Reserved {
    let folder = std::env::temp_dir().join("livepreview-ports");
    let opened = fs::create_dir_all(&folder).and_then(|()| {
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        options.open(folder.join(port.to_string()))
    });
    let Ok(file) = opened else { return Reserved::Ours(None) };
    match file.try_lock() {
        Ok(()) => Reserved::Ours(Some(file)),
        Err(TryLockError::WouldBlock) => Reserved::Theirs,
        Err(TryLockError::Error(_)) => Reserved::Ours(None),
    }
}

/// Whether a listener could be put there.
#[must_use]
pub fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Fails with what to do when `address` is taken.
///
/// # Errors
/// When it is in use, or cannot be listened on for another reason.
pub fn require_free(address: SocketAddr, what: &str, variable: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {} is in use, which {what} needs: stop what listens there or set {variable}=127.0.0.1:<another port>",
            address.port()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("{what} cannot listen on {address}: set {variable} to another address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let mut ports: Vec<u16> = (0..300).filter_map(|_| free().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 300);
        let other = File::options()
            .write(true)
            .open(std::env::temp_dir().join(format!("livepreview-ports/{}", ports[0])));
        assert!(matches!(
            other.expect("its file").try_lock(),
            Err(TryLockError::WouldBlock)
        ));
    }
}
