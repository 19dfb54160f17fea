//! What the reconciler and operators ask: many sessions at a time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, SessionStatus};
use uuid::Uuid;

use super::{CHANNEL, COLUMNS, Store, words};
use crate::{
    database::Trouble,
    session::{
        Session,
        state::reason::{EXPIRED, IDLE},
    },
};

/// A session that was ended because its time was over.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which one.
    pub id: SessionId,
    /// Whether it was idle (otherwise it expired).
    pub idle: bool,
}

/// Traffic of one session.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Which one.
    pub id: SessionId,
    /// When its last request came.
    pub at: DateTime<Utc>,
}

/// The state that is shown at `$1`, as `Session::shown_status` says.
const SHOWN: &str = "CASE WHEN expires_at <= $1 THEN 'DROPPED'
    WHEN status = 'READY' AND restarting_since IS NOT NULL THEN 'PROVISIONING' ELSE status END";

/// Before `$2`, or as far behind the present `$1`: then the clock that told it was ahead.
const LONG_AGO: &str = "NOT BETWEEN $2 AND $1::timestamptz + ($1::timestamptz - $2::timestamptz)";

impl Store {
    /// Ends up to `most` sessions that expired, or that saw no traffic since `silent_since`. What another
    /// replica has in hand is passed over.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_due(
        &self,
        now: DateTime<Utc>,
        silent_since: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<Ended>, Trouble> {
        let sql = format!(
            "WITH due AS (
                 SELECT id, status AS was, CASE WHEN expires_at <= $1 THEN '{EXPIRED}' ELSE '{IDLE}' END AS why
                 FROM control.sessions
                 WHERE status <> 'DROPPED' AND (expires_at <= $1 OR last_accessed_at <= $2)
                 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
             ), changed AS (
                 UPDATE control.sessions AS session
                 SET status = 'DROPPED', ended_at = $1, deferred = false, restarting_since = NULL,
                     drop_due = drop_due OR was <> 'PENDING'
                 FROM due WHERE session.id = due.id RETURNING session.id, token_hash, was, why
             ), noted AS (
                 INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
                 SELECT id, $1, was, 'DROPPED', why, $4 FROM changed
             )
             SELECT id, why = '{IDLE}' AS idle, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let rows = client
            .query(&statement, &[&now, &silent_since, &most, &self.replica])
            .await?;
        Ok(rows
            .iter()
            .map(|row| Ended {
                id: row.get::<_, Uuid>("id").into(),
                idle: row.get("idle"),
            })
            .collect())
    }

    /// Takes up to `most` sessions into hand whose preparation nobody has touched since `before`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn take_stuck(
        &self,
        now: DateTime<Utc>,
        before: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<Session>, Trouble> {
        let sql = format!(
            "UPDATE control.sessions SET worked_at = $1 WHERE id IN (
                 SELECT id FROM control.sessions
                 WHERE status IN ('PENDING', 'PROVISIONING') AND NOT deferred AND expires_at > $1
                     AND (worked_at IS NULL OR worked_at {LONG_AGO})
                 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
             ) RETURNING {COLUMNS}"
        );
        self.sessions(&sql, &[&now, &before, &most]).await
    }

    /// Takes up to `most` READY sessions into hand whose restart nobody has worked on since `before`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn take_stuck_restarts(
        &self,
        now: DateTime<Utc>,
        before: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<Session>, Trouble> {
        let sql = format!(
            "UPDATE control.sessions SET worked_at = $1 WHERE id IN (
                 SELECT id FROM control.sessions
                 WHERE status = 'READY' AND restarting_since {LONG_AGO} AND (worked_at IS NULL OR worked_at {LONG_AGO})
                 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
             ) RETURNING {COLUMNS}"
        );
        self.sessions(&sql, &[&now, &before, &most]).await
    }

    /// Up to `most` sessions behind `after` that are over and whose schema the provisioner has yet to take away.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn drops_due(&self, after: Option<SessionId>, most: i64) -> Result<Vec<SessionId>, Trouble> {
        let client = self.client().await?;
        let rows = client
            .query(
                "SELECT id FROM control.sessions WHERE drop_due AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",
                &[&after.map(SessionId::uuid), &most],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
    }

    /// READY sessions that are not being restarted, and their generations.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn settled(&self) -> Result<HashMap<SessionId, i64>, Trouble> {
        let client = self.client().await?;
        let rows = client
            .query(
                "SELECT id, generation FROM control.sessions
                 WHERE status = 'READY' AND restarting_since IS NULL",
                &[],
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get::<_, Uuid>("id").into(), row.get("generation")))
            .collect())
    }

    /// Those of `ids` that may have a schema: live, or over with the drop still recorded as due.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn rightful(&self, ids: &[SessionId]) -> Result<HashSet<SessionId>, Trouble> {
        let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
        let client = self.client().await?;
        let rows = client
            .query(
                "SELECT id FROM control.sessions
                 WHERE id = ANY ($1) AND (drop_due OR status IN ('PENDING', 'PROVISIONING', 'READY'))",
                &[&ids],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
    }

    /// Notes traffic; how many sessions it moved. A time in the future counts as now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn note(&self, seen: &[Seen], now: DateTime<Utc>) -> Result<u64, Trouble> {
        let ids: Vec<_> = seen.iter().map(|seen| seen.id.uuid()).collect();
        let times: Vec<_> = seen.iter().map(|seen| seen.at).collect();
        // Locked in one order, so that two reports never wait for each other.
        let sql = "
            WITH seen AS (
                SELECT id, least(max(at), $3) AS at FROM unnest($1::uuid[], $2::timestamptz[]) AS t (id, at) GROUP BY id
            ), moved AS (
                SELECT session.id FROM control.sessions AS session JOIN seen USING (id)
                WHERE status <> 'DROPPED' AND expires_at > $3 AND last_accessed_at < seen.at
                ORDER BY session.id FOR NO KEY UPDATE OF session
            )
            UPDATE control.sessions AS session SET last_accessed_at = greatest(last_accessed_at, seen.at)
            FROM seen JOIN moved USING (id) WHERE session.id = seen.id";
        self.execute(sql, &[&ids, &times, &now]).await
    }

    /// One page of sessions that are shown in any of `statuses` (all when empty), newest first, older than `before`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list(
        &self,
        statuses: &[SessionStatus],
        before: Option<SessionId>,
        most: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, Trouble> {
        let sql = format!(
            "SELECT {COLUMNS} FROM control.sessions
             WHERE (cardinality($2::text[]) = 0 OR {SHOWN} = ANY ($2)) AND ($3::uuid IS NULL OR id < $3)
             ORDER BY id DESC LIMIT $4"
        );
        let before = before.map(SessionId::uuid);
        self.sessions(&sql, &[&now, &words(statuses), &before, &most]).await
    }

    /// How many sessions are shown in each state; states without any are left out.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count(&self, now: DateTime<Utc>) -> Result<HashMap<SessionStatus, u32>, Trouble> {
        let client = self.client().await?;
        let sql = format!("SELECT {SHOWN}, count(*) FROM control.sessions GROUP BY 1");
        let rows = client.query(&sql, &[&now]).await?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                let status = row.get::<_, &str>(0).parse().ok()?;
                Some((status, u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX)))
            })
            .collect())
    }

    /// Sessions created since `since`. The ids, which have an index, rise with the time too.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn created_since(&self, since: DateTime<Utc>) -> Result<u32, Trouble> {
        let client = self.client().await?;
        let row = client
            .query_one(
                "SELECT count(*) FROM control.sessions WHERE created_at > $1 AND id > $2",
                &[&since, &SessionId::new(since - TimeDelta::seconds(1)).uuid()],
            )
            .await?;
        Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))
    }

    /// Forgets what nobody asks for any more: sessions a week after their end, keys after 24 hours, creations after
    /// one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn purge(&self, now: DateTime<Utc>) -> Result<(), Trouble> {
        let client = self.client().await?;
        let old = [
            (
                "DELETE FROM control.sessions WHERE id IN (SELECT id FROM control.sessions
                 WHERE status = 'DROPPED' AND NOT drop_due AND ended_at <= $1 LIMIT 1000)",
                TimeDelta::days(7),
            ),
            (
                "DELETE FROM control.idempotency_keys WHERE created_at <= $1",
                TimeDelta::hours(24),
            ),
            ("DELETE FROM control.creations WHERE at <= $1", TimeDelta::hours(1)),
        ];
        for (sql, age) in old {
            client.execute(sql, &[&(now - age)]).await?;
        }
        Ok(())
    }
}
