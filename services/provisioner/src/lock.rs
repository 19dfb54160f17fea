//! Keys of the advisory locks: a class of our own, so that no other part of the product meets them by chance.

use domain::SessionId;

/// "LPpv".
const CLASS: i32 = 0x4c50_7076;

/// Held while `install` runs.
pub const INSTALL: i32 = 0;
/// Held while migrations run.
pub const MIGRATE: i32 = 1;
/// Held while it is decided whether one more slot is made.
pub const PREPARE: i32 = 2;
/// Held by the replica that reconciles.
pub const RECONCILE: i32 = 3;

/// The key of a session: one change at a time. Another session with the same key only waits a little.
#[must_use]
pub fn of(session: SessionId) -> i32 {
    // The last 32 bits are random in a UUIDv7; the highest bit keeps clear of the keys above.
    let bytes = session.uuid().into_bytes();
    i32::from_be_bytes([bytes[12] | 0x80, bytes[13], bytes[14], bytes[15]])
}

/// The statement that waits for a lock and holds it until the transaction ends.
#[must_use]
pub fn for_transaction(key: i32) -> String {
    format!("SELECT pg_advisory_xact_lock({CLASS}, {key})")
}

/// The expression that takes a lock until the transaction ends, or is false.
#[must_use]
pub fn try_for_transaction(key: i32) -> String {
    format!("pg_try_advisory_xact_lock({CLASS}, {key})")
}
