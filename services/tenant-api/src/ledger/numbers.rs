//! Numbers for people: `ORD-1001`, `ORD-1002`, … Never twice, also under concurrency.

use fault::Fault;
use uuid::Uuid;

use crate::http::{Call, Result};

/// Where most sequences begin.
const FIRST: i32 = 1001;

/// The next number of a sequence that begins with 1001.
///
/// Others who want a number of the same sequence wait until this transaction is over, so take it late.
///
/// # Errors
/// When the database refuses.
pub async fn next(call: &Call, sequence: &str) -> Result<i32> {
    next_from(call, sequence, FIRST).await
}

/// The next number of a sequence, `first` when there was none. Numbers of a transaction that rolls back are given
/// again: there are no gaps.
///
/// # Errors
/// When the database refuses.
pub async fn next_from(call: &Call, sequence: &str, first: i32) -> Result<i32> {
    let sql = "INSERT INTO number_sequences (id, name, next_value) VALUES ($1, $2, $3 + 1) \
               ON CONFLICT (name) DO UPDATE SET next_value = number_sequences.next_value + 1, updated_at = now() \
               RETURNING next_value - 1 AS given";
    let values = [Uuid::now_v7().into(), sequence.into(), first.into()];
    let row = call.row(sql, values).await?;
    let row = row.ok_or_else(|| Fault::internal("a sequence gave no number"))?;
    Ok(row.try_get("", "given")?)
}
