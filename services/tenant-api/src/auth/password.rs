//! Passwords: Argon2id with the parameters OWASP's password storage cheat sheet names first (19 MiB, two passes).

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use fault::Fault;
use tokio::sync::Semaphore;

/// Makes hashes, a few at a time, on threads that may block. Their memory is kept and used again: an allocator would
/// keep 19 MiB for every thread that ever made one.
pub struct Hasher {
    turns: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Hasher {
    /// At most `at_once` at a time.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            memory: Arc::default(),
        }
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// 500 when the hash cannot be made.
    pub async fn hash(&self, password: String) -> Result<String, Fault> {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(Fault::internal)?;
        let made = self.run(move |memory| make(&password, &salt, memory)).await?;
        made.map_err(|error| Fault::internal(error.to_string()))
    }

    /// Whether a password is the one behind `hash`. Without a hash (no such account) it takes as long and says no.
    ///
    /// # Errors
    /// 500 when no thread can be had.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Fault> {
        self.run(move |memory| {
            let is_right = check(&password, hash.as_deref().unwrap_or(&NOBODY), memory).unwrap_or(false);
            is_right && hash.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Fault::internal)?;
        let memory = Arc::clone(&self.memory);
        let work = tokio::task::spawn_blocking(move || {
            // A caller that hangs up does not end the work, so the work itself has the turn.
            let _turn = turn;
            let mut blocks = lock(&memory).pop().unwrap_or_default();
            let done = work(&mut blocks);
            lock(&memory).push(blocks);
            done
        });
        work.await.map_err(Fault::internal)
    }
}

fn lock(memory: &Mutex<Vec<Vec<Block>>>) -> MutexGuard<'_, Vec<Vec<Block>>> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(password: &str, salt: &[u8], memory: &mut Vec<Block>) -> password_hash::Result<String> {
    let params = Params::default();
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(output(password, salt, params, memory)?),
    };
    Ok(hash.to_string())
}

/// Compares in constant time.
fn check(password: &str, hash: &str, memory: &mut Vec<Block>) -> password_hash::Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let params = Params::try_from(&hash)?;
    let salt = hash.salt.ok_or(password_hash::Error::SaltInvalid)?;
    let is_ours = hash.algorithm == Algorithm::default().ident() && hash.version == Some(Version::default().into());
    Ok(is_ours && hash.hash == Some(output(password, &salt, params, memory)?))
}

fn output(password: &str, salt: &[u8], params: Params, memory: &mut Vec<Block>) -> password_hash::Result<Output> {
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::from(params).hash_password_into_with_memory(password.as_bytes(), salt, &mut out, memory)?;
    Ok(Output::new(&out)?)
}

/// The hash that stands in for an account that does not exist, so that its answer takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| make("nobody", &[0; 16], &mut Vec::new()).unwrap_or_default());

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies_and_nobody_has_one() {
        let hasher = Hasher::new(1);
        let hash = hasher.hash("Preview123!".into()).await.ok();
        assert!(
            hash.as_deref()
                .is_some_and(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"))
        );
        let right = hasher.verify("Preview123!".into(), hash.clone()).await;
        assert_eq!(right.ok(), Some(true));
        assert_eq!(hasher.verify("preview123!".into(), hash).await.ok(), Some(false));
        assert_eq!(hasher.verify("nobody".into(), None).await.ok(), Some(false));
        assert_eq!(hasher.verify("x".into(), Some("none".into())).await.ok(), Some(false));
        assert_eq!(lock(&hasher.memory).len(), 1, "one block of memory for all of them");
    }

    #[tokio::test]
    async fn the_librarys_own_hashes_are_the_same() {
        let hasher = Hasher::new(1);
        let ours = hasher.hash("Preview123!".into()).await.ok().unwrap_or_default();
        assert!(Argon2::default().verify_password(b"Preview123!", ours.as_str()).is_ok());
        let theirs = Argon2::default()
            .hash_password(b"Preview123!")
            .map(|hash| hash.to_string());
        assert_eq!(hasher.verify("Preview123!".into(), theirs.ok()).await.ok(), Some(true));
    }

    #[tokio::test]
    async fn work_goes_on_in_its_turn_when_the_caller_hangs_up() {
        let hasher = Hasher::new(1);
        for _ in 0..3 {
            let call = hasher.hash("Preview123!".into());
            assert!(
                tokio::time::timeout(std::time::Duration::from_millis(1), call)
                    .await
                    .is_err(),
                "a hash takes longer"
            );
        }
        assert_eq!(
            hasher.turns.available_permits(),
            0,
            "the first is at work, the others never were"
        );
        assert!(hasher.hash("Preview123!".into()).await.is_ok());
        assert_eq!(lock(&hasher.memory).len(), 1);
    }
}
