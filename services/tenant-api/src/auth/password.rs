//! Passwords: Argon2id with the parameters OWASP's password storage cheat sheet names first (19 MiB, two passes).

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use fault::Fault;
use tokio::sync::Semaphore;

/// Hashes a password, on a thread that may block. `slots` bounds how many hashes are made at once.
///
/// # Errors
/// 500 when the hash cannot be made.
pub async fn hash(password: String, slots: &Semaphore) -> Result<String, Fault> {
    let _slot = slots.acquire().await.map_err(Fault::internal)?;
    let hash = tokio::task::spawn_blocking(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
    });
    hash.await
        .map_err(Fault::internal)?
        .map_err(|error| Fault::internal(error.to_string()))
}

/// Whether a password is the one behind `hash`. Without a hash (no such account) it takes as long and says no.
///
/// # Errors
/// 500 when no thread can be had.
pub async fn verify(password: String, hash: Option<String>, slots: &Semaphore) -> Result<bool, Fault> {
    let _slot = slots.acquire().await.map_err(Fault::internal)?;
    let verify = tokio::task::spawn_blocking(move || {
        let stands_in = hash.is_none();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let is_right = Argon2::default()
            .verify_password(password.as_bytes(), hash.as_str())
            .is_ok();
        is_right && !stands_in
    });
    verify.await.map_err(Fault::internal)
}

/// The hash that stands in for an account that does not exist, so that its answer takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    Argon2::default()
        .hash_password(b"nobody")
        .map(|hash| hash.to_string())
        .unwrap_or_default()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies_and_nobody_has_one() {
        let slots = Semaphore::new(1);
        let hash = hash("Preview123!".into(), &slots).await.ok();
        assert!(
            hash.as_deref()
                .is_some_and(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"))
        );
        assert_eq!(
            verify("Preview123!".into(), hash.clone(), &slots).await.ok(),
            Some(true)
        );
        assert_eq!(verify("preview123!".into(), hash, &slots).await.ok(), Some(false));
        assert_eq!(verify("nobody".into(), None, &slots).await.ok(), Some(false));
    }
}
