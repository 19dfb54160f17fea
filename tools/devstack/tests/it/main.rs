//! The command and the clusters, from outside.

mod cluster;
mod command;

use std::thread;
use std::time::{Duration, Instant};

/// Asks again until the answer is yes.
fn eventually(what: &str, question: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !question() {
        assert!(Instant::now() < end, "not so: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
