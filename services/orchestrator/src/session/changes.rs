//! Notices that a session changed, from whatever replica, through PostgreSQL's LISTEN and NOTIFY.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domain::TokenHash;
use futures::{StreamExt, future::poll_fn, stream};
use service::lifecycle::Lifecycle;
use tokio::sync::broadcast;
use tokio_postgres::{AsyncMessage, NoTls};

use super::store::CHANNEL;

/// Notices that wait for a slow subscriber before it loses some; it learns so by a gap.
const BACKLOG: usize = 8_192;

/// One notice. Its sequence rises by one with each; by more when some may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where it stands in the sequence.
    pub sequence: u64,
    /// Whose session changed; `None` after a gap: anybody's may have.
    pub hash: Option<TokenHash>,
}

/// Where notices come from.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sequence: Mutex<u64>,
    sender: broadcast::Sender<Notice>,
}

impl Changes {
    /// A source that nothing feeds yet.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "only makes the sequences of two processes differ"
    )]
    pub fn new() -> Self {
        let start = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs() << 20);
        Self(Arc::new(Shared {
            sequence: Mutex::new(start),
            sender: broadcast::channel(BACKLOG).0,
        }))
    }

    /// The present sequence, and every notice behind it.
    #[must_use]
    pub fn subscribe(&self) -> (u64, broadcast::Receiver<Notice>) {
        let sequence = self.0.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        (*sequence, self.0.sender.subscribe())
    }

    /// The present sequence.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        *self.0.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, hash: Option<TokenHash>) {
        let mut sequence = self.0.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        // Skipping one is what tells subscribers of a loss.
        *sequence += if hash.is_some() { 1 } else { 2 };
        // Nobody listening is fine.
        let _ = self.0.sender.send(Notice {
            sequence: *sequence,
            hash,
        });
    }

    /// Listens until the process stops, over a connection of its own that is made again whenever it breaks.
    pub async fn listen(self, config: tokio_postgres::Config, lifecycle: Lifecycle) {
        let mut pause = Duration::from_millis(100);
        loop {
            let mut heard = false;
            let result = tokio::select! {
                () = lifecycle.clone().stopping() => return,
                result = self.session(&config, &mut heard) => result,
            };
            if let Err(error) = result {
                tracing::warn!(error = %fault::chain(&error), "notices of changed sessions are interrupted");
            }
            pause = if heard {
                Duration::from_millis(100)
            } else {
                (pause * 2).min(Duration::from_secs(2))
            };
            tokio::select! {
                () = lifecycle.clone().stopping() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One connection's life.
    async fn session(&self, config: &tokio_postgres::Config, heard: &mut bool) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = config.connect(NoTls).await?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let sql = format!("LISTEN {CHANNEL}");
        let listen = client.batch_execute(&sql);
        let mut listen = std::pin::pin!(listen);
        loop {
            tokio::select! {
                listening = poll_fn(|context| listen.as_mut().poll(context)), if !*heard => {
                    listening?;
                    *heard = true;
                    // What happened while nobody listened is unknown.
                    self.send(None);
                }
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(notice))) => match parse(notice.payload()) {
                        Some(hash) => self.send(Some(hash)),
                        None => tracing::warn!("a notice that is no token hash was passed over"),
                    },
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
            }
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

fn parse(payload: &str) -> Option<TokenHash> {
    TokenHash::from_bytes(&hex::decode(payload).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_leaves_a_gap_in_the_sequence() {
        let changes = Changes::new();
        let (start, mut notices) = changes.subscribe();
        let hash = TokenHash::from_bytes(&[7; 32]);
        changes.send(hash);
        changes.send(None);
        changes.send(hash);
        let mut next = || notices.try_recv().map(|notice| notice.sequence - start);
        assert_eq!((next(), next(), next()), (Ok(1), Ok(3), Ok(4)));
    }

    #[test]
    fn only_a_hash_in_hex_is_a_notice() {
        assert_eq!(parse(&"07".repeat(32)), TokenHash::from_bytes(&[7; 32]));
        for wrong in ["", "07", &"zz".repeat(32)] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
