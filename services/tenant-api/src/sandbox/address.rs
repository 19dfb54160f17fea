//! Addresses of uploaded files: they work in an `<img>` tag without headers, and only the server can read or make them.
//!
//! An address seals the session's id and the file's content key with ChaCha20-Poly1305. The nonce is derived from what
//! is sealed (as in SIV), so that one file has one address and browsers can cache it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, aead::Aead};
use domain::SessionId;
use hmac::{Hmac, Mac};
use service::config::Secret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::http::Call;

const NONCE: usize = 12;
const TAG: usize = 16;
const ID: usize = 16;
/// The longest content key; the column's limit.
const LONGEST: usize = 64;

/// Seals and opens addresses.
#[derive(Clone)]
pub struct Sealer {
    cipher: ChaCha20Poly1305,
    nonces: [u8; 32],
}

impl Sealer {
    /// Keys derived from a secret; another use of the same secret gives no hint of them.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let derive = |purpose: &str| -> [u8; 32] {
            Sha256::new()
                .chain_update(purpose.as_bytes())
                .chain_update([0])
                .chain_update(secret.reveal().as_bytes())
                .finalize()
                .into()
        };
        let key = derive("livepreview upload address: cipher");
        Self {
            cipher: ChaCha20Poly1305::new(&Key::from(key)),
            nonces: derive("livepreview upload address: nonce"),
        }
    }

    /// Seals a file of a session.
    #[must_use]
    pub fn seal(&self, session: SessionId, content_key: &str) -> String {
        let mut text = session.uuid().as_bytes().to_vec();
        text.extend_from_slice(content_key.as_bytes());
        let mut nonce = [0; NONCE];
        if let Ok(mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.nonces) {
            nonce.copy_from_slice(&mac.chain_update(&text).finalize().into_bytes()[..NONCE]);
        }
        let Ok(cipher) = self.cipher.encrypt(&Nonce::from(nonce), text.as_slice()) else {
            return String::new();
        };
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&cipher);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The session and content key of an address; `None` when it is not ours.
    #[must_use]
    pub fn open(&self, address: &str) -> Option<(SessionId, String)> {
        if address.len() > (NONCE + TAG + ID + LONGEST) * 2 {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(address).ok()?;
        let (nonce, cipher) = sealed.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let text = self.cipher.decrypt(&Nonce::from(nonce), cipher).ok()?;
        let (id, key) = text.split_at_checked(ID)?;
        Some((Uuid::from_slice(id).ok()?.into(), String::from_utf8(key.to_vec()).ok()?))
    }
}

/// The path of a file of the call's session.
#[must_use]
pub fn of(call: &Call, content_key: &str) -> String {
    format!(
        "/api/v1/uploads/content/{}",
        call.app().sealer.seal(call.tenant().session, content_key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn only_our_own_addresses_open_and_one_file_has_one() {
        let (ours, theirs) = (Sealer::new(&Secret::new("one")), Sealer::new(&Secret::new("two")));
        let session = SessionId::new(DateTime::UNIX_EPOCH);
        let address = ours.seal(session, "a-content-key");
        assert_eq!(ours.open(&address), Some((session, "a-content-key".into())));
        assert_eq!(ours.seal(session, "a-content-key"), address);
        assert_eq!(theirs.open(&address), None);
        let mut forged = address.clone();
        forged.replace_range(40..41, if &address[40..41] == "A" { "B" } else { "A" });
        for wrong in [forged.as_str(), "", "AAAA", &address[..20], &"A".repeat(500)] {
            assert_eq!(ours.open(wrong), None, "{wrong}");
        }
    }
}
