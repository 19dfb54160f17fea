//! Opaque secrets: refresh tokens, cart tokens, reset tokens. Shown once, kept as a hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fault::Fault;
use sha2::{Digest, Sha256};

/// A new secret of 256 bits, in 43 characters.
///
/// # Errors
/// When the operating system has no randomness.
pub fn generate() -> Result<String, Fault> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(Fault::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret: SHA-256 in 64 hexadecimal digits. The secret is uniform, so no salt is needed.
#[must_use]
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
