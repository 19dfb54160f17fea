//! Ports of this machine.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, anyhow, bail};

/// Below the ports that systems give to outgoing connections: those come and go between a look
/// and the start of a server.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A loopback port that nobody listens on now.
///
/// # Errors
/// When none is found.
pub fn free() -> Result<u16> {
    for _ in 0..200 {
        let mut random = [0u8; 2];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow!("no random numbers from the operating system: {error}"))?;
        let port = RANGE.start + u16::from_le_bytes(random) % (RANGE.end - RANGE.start);
        if is_free(SocketAddr::from(([127, 0, 0, 1], port))) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end)
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
