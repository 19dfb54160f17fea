//! What only operators ask.

use chrono::{DateTime, Utc};

use super::{CHANNEL, Store};
use crate::database::Trouble;

impl Store {
    /// Ends up to `most` sessions that were created until `until`, oldest first; how many. In the same transaction
    /// everybody is told.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_all(
        &self,
        until: DateTime<Utc>,
        reason: &str,
        most: i64,
        now: DateTime<Utc>,
    ) -> Result<u64, Trouble> {
        let sql = format!(
            "WITH target AS (
                 SELECT id, status AS was FROM control.sessions WHERE status <> 'DROPPED' AND created_at <= $1
                 ORDER BY id LIMIT $2 FOR UPDATE
             ), changed AS (
                 UPDATE control.sessions AS session
                 SET status = 'DROPPED', ended_at = $3, deferred = false, restarting_since = NULL,
                     drop_due = drop_due OR was <> 'PENDING'
                 FROM target WHERE session.id = target.id RETURNING session.id, token_hash, was
             ), noted AS (
                 INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
                 SELECT id, $3, was, 'DROPPED', $4, $5 FROM changed
             )
             SELECT pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        self.execute(&sql, &[&until, &most, &now, &reason, &self.replica]).await
    }

    /// How many sessions that were created until `until` are not over.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unended(&self, until: DateTime<Utc>) -> Result<u32, Trouble> {
        let sql = "SELECT count(*) FROM control.sessions WHERE status <> 'DROPPED' AND created_at <= $1";
        let row = self.client().await?.query_one(sql, &[&until]).await?;
        Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))
    }

    /// The last entry of the history; 0 without any.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn last_happening(&self) -> Result<i64, Trouble> {
        let sql = "SELECT greatest((SELECT max(id) FROM control.session_transitions),
                                   (SELECT max(id) FROM control.session_changes), 0)";
        Ok(self.client().await?.query_one(sql, &[]).await?.get(0))
    }
}
