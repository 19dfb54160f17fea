//! Ports of this machine.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};

/// A loopback port that nobody listens on now.
///
/// # Errors
/// When the machine has none left.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
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
