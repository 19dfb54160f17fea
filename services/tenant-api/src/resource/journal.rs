//! Journals: tables that drop their oldest rows at the row limit, so that a full log never blocks the application.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::precheck::CROWDED;
use crate::http::{Call, Result};

/// Runs an INSERT into a journal (without RETURNING), then drops the oldest rows beyond the limit. One statement as
/// long as the journal is far from full. Tells how many rows were inserted.
///
/// # Errors
/// When the database refuses.
pub async fn insert(call: &Call, table: &str, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    // Counted before the insert: a statement does not see its own rows.
    let sql = format!("{sql} RETURNING (SELECT count(*) FROM \"{table}\") AS rows");
    let inserted = call
        .tx()
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let Some(row) = inserted.first() else {
        return Ok(0);
    };
    let before = u64::try_from(row.try_get::<i64>("", "rows")?).unwrap_or(0);
    let added = u64::try_from(inserted.len()).unwrap_or(u64::MAX);
    if before.saturating_add(added).saturating_add(CROWDED) > call.app().limits.rows {
        drop_oldest(call, table).await?;
    }
    Ok(added)
}

/// Under one lock for all journals of the session: requests write to several of them, in different orders.
async fn drop_oldest(call: &Call, table: &str) -> Result<()> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    let key = format!("journals:{}", call.tenant().schema);
    call.tx()
        .execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, lock, [key.into()]))
        .await?;
    let drop = format!(
        "DELETE FROM \"{table}\" WHERE id IN \
         (SELECT id FROM \"{table}\" ORDER BY created_at DESC, id DESC OFFSET $1)"
    );
    let keep = i64::try_from(call.app().limits.rows).unwrap_or(i64::MAX);
    call.tx()
        .execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, drop, [keep.into()]))
        .await?;
    Ok(())
}
