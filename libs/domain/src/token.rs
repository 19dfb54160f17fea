//! The session token: the bearer secret of a session. It is shown to its owner and kept only as a hash.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// Length of the tokens made here. 32 characters of 36 kinds carry 165 bits.
const LENGTH: usize = 32;
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SHORTEST: usize = 20;
const LONGEST: usize = 128;

/// A well-formed session token. `Debug` hides it; there is no `Display`, so that it cannot slip into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

/// The SHA-256 of a session token: what the database and the caches keep.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// The text does not have the form of a session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session token has 20 to 128 letters, digits and dashes")]
pub struct NotAToken;

impl SessionToken {
    /// A new token from the operating system's random source.
    ///
    /// # Errors
    /// When that source fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut token = String::with_capacity(LENGTH);
        let mut bytes = [0_u8; 64];
        while token.len() < LENGTH {
            getrandom::fill(&mut bytes)?;
            token.extend(digits(&bytes).take(LENGTH - token.len()));
        }
        Ok(Self(token))
    }

    /// The token that `bytes` spell, the same one each time; `bytes` must be secret and uniform (a MAC, say).
    #[must_use]
    pub fn derived(bytes: &[u8; 64]) -> Self {
        let mut token: String = digits(bytes).take(LENGTH).collect();
        let mut round = *bytes;
        // 64 bytes hold 63 usable digits on average; the rare short draw goes on with the hash of the last one.
        while token.len() < LENGTH {
            let (first, second) = (Sha256::digest(&round[..]), Sha256::digest(Sha256::digest(&round[..])));
            round[..32].copy_from_slice(&first);
            round[32..].copy_from_slice(&second);
            token.extend(digits(&round).take(LENGTH - token.len()));
        }
        Self(token)
    }

    /// The token itself. Only for the answer to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// Uniform digits of base 36 from uniform bytes; bytes that would favour some digits are left out.
fn digits(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    bytes
        .iter()
        .filter(|byte| **byte < 252)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 36)]))
}

impl FromStr for SessionToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let fits =
            (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAToken)
        }
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl TokenHash {
    /// Takes the 32 bytes of a SHA-256.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", hex::encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_have_the_promised_form_and_differ() {
        let (a, b) = (SessionToken::random(), SessionToken::random());
        let (Ok(a), Ok(b)) = (a, b) else {
            panic!("no randomness")
        };
        assert_ne!(a, b);
        assert_eq!(a.reveal().len(), 32);
        assert!(a.reveal().bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert_eq!(a.reveal().parse(), Ok(a));
    }

    #[test]
    fn a_derived_token_is_whole_even_from_the_worst_bytes() {
        assert_eq!(SessionToken::derived(&[255; 64]).reveal().len(), 32);
        assert_eq!(SessionToken::derived(&[7; 64]), SessionToken::derived(&[7; 64]));
    }

    #[test]
    fn debug_tells_nothing_of_the_token() {
        let token = "abcdefghijklmnopqrstuvwx".parse::<SessionToken>();
        assert_eq!(format!("{token:?}"), "Ok(SessionToken(…))");
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for wrong in [
            "",
            "short",
            "abcdefghijklmnopqrs\n",
            "abcdefghijklmnopqrstu_wx",
            &"a".repeat(129),
        ] {
            assert_eq!(wrong.parse::<SessionToken>(), Err(NotAToken), "{wrong:?}");
        }
    }
}
