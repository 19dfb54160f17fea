//! Changes of a living session that are no transition, and its recorded history.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, SessionStatus};
use tokio_postgres::types::ToSql;

use super::{CHANNEL, COLUMNS, Store, by};
use crate::{
    database::Trouble,
    session::{Key, Place, Session, Update},
};

/// One entry of the history, in the order in which things happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// To which session.
    pub session: SessionId,
    /// Rises; clients resume behind it.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
    /// By which replica.
    pub replica: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A step of the state machine.
    Transition {
        /// `None` for the first.
        from: Option<SessionStatus>,
        /// Where it led.
        to: SessionStatus,
        /// Why, in words.
        reason: String,
    },
    /// Other features or another tier.
    Updated,
    /// A later end.
    Extended,
    /// A restart began.
    Restarting,
    /// A restart ended.
    Restarted,
}

impl Store {
    /// Changes features and tier of a session that is not over.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn update(&self, key: &Key, update: &Update, now: DateTime<Utc>) -> Result<Option<Session>, Trouble> {
        let (column, value) = by(key);
        let sql = format!(
            "WITH changed AS (
                 UPDATE control.sessions SET generation = generation + 1,
                     last_accessed_at = greatest(last_accessed_at, $2),
                     selected_features = coalesce($3, selected_features),
                     ignored_features = coalesce($4, ignored_features), tier = coalesce($5, tier)
                 WHERE {column} = $1 AND expires_at > $2 AND restarting_since IS NULL
                     AND status IN ('PENDING', 'READY') RETURNING *
             ), noted AS (
                 INSERT INTO control.session_changes (session_id, at, kind, replica)
                 SELECT id, $2, 'UPDATED', $6 FROM changed
             )
             SELECT {COLUMNS}, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        let selected = update.selection.as_ref().map(|selection| &selection.selected);
        let ignored = update.selection.as_ref().map(|selection| &selection.ignored);
        let params: [&(dyn ToSql + Sync); 6] = [value.as_sql(), &now, &selected, &ignored, &update.tier, &self.replica];
        self.session(&sql, &params).await
    }

    /// The restart that began at `since` is over; `None` when another replica was faster, or the session ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn finish_restart(
        &self,
        id: SessionId,
        since: DateTime<Utc>,
        place: &Place,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let sql = format!(
            "WITH changed AS (
                 UPDATE control.sessions SET restarting_since = NULL, worked_at = NULL, schema_name = $3, role_name = $4,
                     generation = generation + 1
                 WHERE id = $1 AND status = 'READY' AND restarting_since = $2 RETURNING *
             ), noted AS (
                 INSERT INTO control.session_changes (session_id, at, kind, replica)
                 SELECT id, $5, 'RESTARTED', $6 FROM changed
             )
             SELECT {COLUMNS}, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        let params: [&(dyn ToSql + Sync); 6] = [
            &id.uuid(),
            &since,
            &place.schema.as_str(),
            &place.role.as_str(),
            &now,
            &self.replica,
        ];
        self.session(&sql, &params).await
    }

    /// Moves the end to `now + ttl`, at most `lifetime` after the creation; `None` when it is there already, or the
    /// session is over.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn extend(
        &self,
        key: &Key,
        ttl: TimeDelta,
        lifetime: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let (column, value) = by(key);
        let sql = format!(
            "WITH changed AS (
                 UPDATE control.sessions SET
                     expires_at = greatest(expires_at,
                         least($3, created_at + $4::float8 * interval '1 millisecond')),
                     last_accessed_at = greatest(last_accessed_at, $2)
                 WHERE {column} = $1 AND status <> 'DROPPED' AND expires_at > $2
                     AND expires_at < created_at + $4::float8 * interval '1 millisecond' RETURNING *
             ), noted AS (
                 INSERT INTO control.session_changes (session_id, at, kind, replica)
                 SELECT id, $2, 'EXTENDED', $5 FROM changed
             )
             SELECT {COLUMNS}, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some hours")]
        let lifetime = lifetime.num_milliseconds() as f64;
        self.session(&sql, &[value.as_sql(), &now, &(now + ttl), &lifetime, &self.replica])
            .await
    }

    /// What happened to a session behind the entry `after`, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn history(&self, session: SessionId, after: i64) -> Result<Vec<Entry>, Trouble> {
        self.entries("session_id = $1 AND id > $2", &[&session.uuid(), &after])
            .await
    }

    /// What happened to any session behind the entry `after`, up to `most` entries.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn happenings(&self, after: i64, most: i64) -> Result<Vec<Entry>, Trouble> {
        self.entries("id > $1 ORDER BY id LIMIT $2", &[&after, &most]).await
    }

    async fn entries(&self, which: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Entry>, Trouble> {
        let sql = format!(
            "(SELECT id, session_id, at, 'STEP' AS kind, from_status, to_status, reason, replica
              FROM control.session_transitions WHERE {which})
             UNION ALL
             (SELECT id, session_id, at, kind, NULL, NULL, NULL, replica FROM control.session_changes WHERE {which})
             ORDER BY id"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        client.query(&statement, params).await?.iter().map(entry).collect()
    }
}

fn entry(row: &tokio_postgres::Row) -> Result<Entry, Trouble> {
    let status = |column: &str| -> Result<Option<SessionStatus>, Trouble> {
        let text: Option<&str> = row.try_get(column)?;
        text.map(str::parse)
            .transpose()
            .map_err(|error| Trouble::Row(format!("{column}: {error}")))
    };
    let what = match row.try_get("kind")? {
        "STEP" => What::Transition {
            from: status("from_status")?,
            to: status("to_status")?.ok_or_else(|| Trouble::Row("to_status".to_owned()))?,
            reason: row.try_get("reason")?,
        },
        "UPDATED" => What::Updated,
        "EXTENDED" => What::Extended,
        "RESTARTING" => What::Restarting,
        "RESTARTED" => What::Restarted,
        other => return Err(Trouble::Row(format!("a change {other}"))),
    };
    Ok(Entry {
        session: row.try_get::<_, uuid::Uuid>("session_id")?.into(),
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        what,
        replica: row.try_get("replica")?,
    })
}
