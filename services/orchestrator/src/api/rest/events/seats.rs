//! How many may follow at a time: a stream holds a connection for as long as its client likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::TokenHash;
use fault::{Fault, codes};
use service::http::MOST_CONNECTIONS;

/// Streams of one session.
const MOST_OF_ONE: usize = 16;
/// Streams in all: the rest of the connections stays free for requests.
const MOST: usize = MOST_CONNECTIONS / 4 * 3;
/// When to try again, in seconds: nobody knows when a follower leaves.
const WAIT: u64 = 10;

/// The streams of one replica. Clones share them.
#[derive(Clone, Default)]
pub struct Seats(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_session: HashMap<TokenHash, usize>,
}

/// Room for one stream, until it is dropped.
pub struct Seat {
    seats: Seats,
    session: TokenHash,
}

impl Seats {
    /// Room for one more stream of a session.
    ///
    /// # Errors
    /// 429 when it has as many as it may, or all have.
    pub fn take(&self, session: TokenHash) -> Result<Seat, Fault> {
        let mut taken = self.taken();
        if taken.all >= MOST {
            return Err(refusal("all sessions together", MOST));
        }
        let own = taken.by_session.entry(session).or_default();
        if *own >= MOST_OF_ONE {
            return Err(refusal("one session", MOST_OF_ONE));
        }
        *own += 1;
        taken.all += 1;
        Ok(Seat {
            seats: self.clone(),
            session,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_session.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                taken.by_session.remove(&self.session);
            }
        }
    }
}

fn refusal(whose: &str, most: usize) -> Fault {
    Fault::new(
        codes::RATE_LIMITED,
        format!("At most {most} streams of events of {whose} may be open at a time. Try again in {WAIT} s."),
    )
    .retry_after(WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: usize) -> TokenHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        TokenHash::from_bytes(&bytes).expect("32 bytes")
    }

    #[test]
    fn a_session_has_some_seats_and_gets_them_back() {
        let seats = Seats::default();
        let mut held: Vec<_> = (0..MOST_OF_ONE).map(|_| seats.take(session(1)).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        let refused = seats.take(session(1)).err().expect("one too many");
        assert_eq!((refused.code(), refused.wait()), (codes::RATE_LIMITED, Some(WAIT)));
        assert!(seats.take(session(2)).is_ok(), "others have their own");
        held.pop();
        assert!(seats.take(session(1)).is_ok());
        drop(held);
        assert!(seats.taken().by_session.is_empty());
    }

    #[test]
    fn all_sessions_together_leave_connections_for_requests() {
        let seats = Seats::default();
        let held: Vec<_> = (0..MOST).map_while(|number| seats.take(session(number)).ok()).collect();
        assert_eq!((held.len(), held.len() < MOST_CONNECTIONS), (MOST, true));
        assert!(seats.take(session(MOST)).is_err());
    }
}
