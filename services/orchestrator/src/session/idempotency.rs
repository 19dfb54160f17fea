//! Creations that may be repeated: one key gives one session, and its token can be shown again.
//!
//! The token of a session is kept only as a hash. That of a keyed creation is therefore derived: a MAC under the
//! internal secret over a random nonce (kept with the session) and the key (kept by the caller, here only as a hash).
//! Whoever reads the database has neither the secret nor the key.

use domain::SessionToken;
use hmac::{Hmac, KeyInit, Mac};
use service::config::Secret;
use sha2::{Digest, Sha256, Sha512};

use super::NewSession;

/// Keeps this use of the secret apart from every other.
const PURPOSE: &[u8] = b"livepreview session token v1\0";

/// A caller's key: 1 to 100 visible ASCII characters.
#[derive(Clone)]
pub struct IdempotencyKey(String);

/// The text cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100 visible ASCII characters")]
pub struct NotAKey;

/// Makes two creations with one key differ.
pub type Nonce = [u8; 32];

impl IdempotencyKey {
    /// Takes a caller's key.
    ///
    /// # Errors
    /// When it is empty, too long or holds other characters.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        if (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAKey)
        }
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The token of the creation with this key and `nonce`, the same one each time.
    #[must_use]
    pub fn token(&self, nonce: &Nonce, secret: &Secret) -> SessionToken {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(secret.reveal().as_bytes())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(PURPOSE);
        mac.update(nonce);
        mac.update(self.0.as_bytes());
        SessionToken::derived(&mac.finalize().into_bytes().into())
    }
}

impl std::fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

/// Tells one request from another. The client's address is left out: a repeat may come over another way.
#[must_use]
pub fn fingerprint(request: &NewSession) -> [u8; 32] {
    let parts = serde_json::json!([
        request.selection.selected,
        request.selection.ignored,
        request.tier,
        request.template_slug,
        request.currency.map(domain::Currency::as_str),
        request.provision,
    ]);
    Sha256::digest(parts.to_string().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_depends_on_key_nonce_and_secret() {
        let (key, other) = (
            IdempotencyKey::parse("a").expect("a key"),
            IdempotencyKey::parse("b").expect("a key"),
        );
        let (secret, changed) = (Secret::new("one secret"), Secret::new("another secret"));
        let token = key.token(&[1; 32], &secret);
        assert_eq!(token, key.token(&[1; 32], &secret));
        for different in [
            other.token(&[1; 32], &secret),
            key.token(&[2; 32], &secret),
            key.token(&[1; 32], &changed),
        ] {
            assert_ne!(token, different);
        }
    }

    #[test]
    fn a_key_is_visible_ascii() {
        assert!(IdempotencyKey::parse(&"k".repeat(100)).is_ok());
        for wrong in ["", "a b", "ä", "a\n", &"k".repeat(101)] {
            assert!(IdempotencyKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
