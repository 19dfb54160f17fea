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

/// Changes of one session that are remembered; older ones make room.
const MOST_CHANGES: i64 = 1_000;

/// The end of a statement whose `changed` holds the session, its former row `was` and whether it `differs` from it:
/// only what differs is recorded and told.
fn recorded(kind: &str) -> String {
    format!(
        "noted AS (
             INSERT INTO control.session_changes (session_id, at, kind, replica)
             SELECT id, $2, '{kind}', $3 FROM changed WHERE differs
         ), forgotten AS (
             DELETE FROM control.session_changes AS old USING changed
             WHERE differs AND old.session_id = changed.id AND old.id <= (
                 SELECT recent.id FROM control.session_changes AS recent WHERE recent.session_id = changed.id
                 ORDER BY recent.id DESC OFFSET {MOST_CHANGES} - 1 LIMIT 1)
         )
         SELECT {COLUMNS}, CASE WHEN differs THEN pg_notify('{CHANNEL}', encode(token_hash, 'hex')) END FROM changed"
    )
}

impl Store {
    /// Changes features and tier of a session that is still what was `seen`: not over, not being prepared, of the same
    /// generation. What changes nothing counts as traffic only.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn update(
        &self,
        seen: &Session,
        update: &Update,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let sql = format!(
            "WITH target AS (
                 SELECT id, (selected_features, ignored_features, tier) IS DISTINCT FROM
                     (coalesce($4, selected_features), coalesce($5, ignored_features), coalesce($6, tier)) AS differs
                 FROM control.sessions
                 WHERE id = $1 AND generation = $7 AND expires_at > $2 AND restarting_since IS NULL
                     AND status IN ('PENDING', 'READY') FOR UPDATE
             ), changed AS (
                 UPDATE control.sessions AS session SET generation = generation + differs::int,
                     last_accessed_at = greatest(last_accessed_at, $2),
                     selected_features = coalesce($4, selected_features),
                     ignored_features = coalesce($5, ignored_features), tier = coalesce($6, tier)
                 FROM target WHERE session.id = target.id RETURNING session.*, differs
             ), {}",
            recorded("UPDATED")
        );
        let selected = update.selection.as_ref().map(|selection| &selection.selected);
        let ignored = update.selection.as_ref().map(|selection| &selection.ignored);
        let params: [&(dyn ToSql + Sync); 7] = [
            &seen.id.uuid(),
            &now,
            &self.replica,
            &selected,
            &ignored,
            &update.tier,
            &seen.generation,
        ];
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
            "WITH target AS (
                 SELECT id, expires_at AS was FROM control.sessions
                 WHERE {column} = $1 AND status <> 'DROPPED' AND expires_at > $2
                     AND expires_at < created_at + $5::float8 * interval '1 millisecond' FOR UPDATE
             ), changed AS (
                 UPDATE control.sessions AS session SET
                     expires_at = greatest(expires_at,
                         least($4, created_at + $5::float8 * interval '1 millisecond')),
                     last_accessed_at = greatest(last_accessed_at, $2)
                 FROM target WHERE session.id = target.id RETURNING session.*, expires_at > was AS differs
             ), {}",
            recorded("EXTENDED")
        );
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some hours")]
        let lifetime = lifetime.num_milliseconds() as f64;
        self.session(&sql, &[value.as_sql(), &now, &self.replica, &(now + ttl), &lifetime])
            .await
    }

    /// The last entry of a session's history; 0 without any.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn newest(&self, session: SessionId) -> Result<i64, Trouble> {
        let sql = "SELECT greatest((SELECT max(id) FROM control.session_transitions WHERE session_id = $1),
                                   (SELECT max(id) FROM control.session_changes WHERE session_id = $1), 0)";
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_one(&statement, &[&session.uuid()]).await?.get(0))
    }

    /// What happened to a session behind the entry `after`, oldest first, up to `most` entries.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn history(&self, session: SessionId, after: i64, most: usize) -> Result<Vec<Entry>, Trouble> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let which = "session_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        let mut entries = self.entries(which, &[&session.uuid(), &after, &limit]).await?;
        entries.truncate(most);
        Ok(entries)
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
