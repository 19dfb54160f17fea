//! All SQL of the control plane. Each function is one statement, or statements sent together, and takes the time from
//! its caller; nothing here decides.

mod admission;
mod change;
mod operating;
mod row;
mod upkeep;

use chrono::{DateTime, Utc};
use deadpool_postgres::{Object, Pool};
use domain::{SessionId, SessionStatus, TokenHash};
use futures::future::join3;
use tokio_postgres::types::ToSql;

use super::{Failure, Key, Place, Session, state};
use crate::database::Trouble;

pub use admission::{Admission, Candidate};
pub use change::{Entry, What};
pub use row::COLUMNS;
pub use upkeep::{Ended, Seen};

/// The channel of notices that a session changed; the payload is the hash of its token in hex.
pub const CHANNEL: &str = "livepreview_sessions";

/// What a step to FAILED sets. Nobody works on the session any more.
const FAILURE: &str = "failure_code = $5, failure_message = $6, worked_at = NULL, drop_due = true";

/// The records of the control plane.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    replica: String,
}

impl Store {
    /// The records behind `pool`; steps are recorded as taken by `replica`.
    #[must_use]
    pub fn new(pool: Pool, replica: impl Into<String>) -> Self {
        Self {
            pool,
            replica: replica.into(),
        }
    }

    /// The pool, for who needs a connection for longer.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    async fn client(&self) -> Result<Object, Trouble> {
        Ok(self.pool.get().await?)
    }

    /// Runs one cached statement that returns sessions.
    #[tracing::instrument(name = "db.statement", skip_all, fields(otel.kind = "client", db.operation.name = word(sql)))]
    async fn sessions(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Session>, Trouble> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        client
            .query(&statement, params)
            .await?
            .iter()
            .map(row::session)
            .collect()
    }

    async fn session(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Session>, Trouble> {
        Ok(self.sessions(sql, params).await?.pop())
    }

    /// Runs one cached statement and tells how many rows it changed.
    #[tracing::instrument(name = "db.statement", skip_all, fields(otel.kind = "client", db.operation.name = word(sql)))]
    async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Trouble> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, params).await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Trouble> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    /// The session, whatever its state.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find(&self, key: &Key) -> Result<Option<Session>, Trouble> {
        let (column, value) = by(key);
        let sql = format!("SELECT {COLUMNS} FROM control.sessions WHERE {column} = $1");
        self.session(&sql, &[value.as_sql()]).await
    }

    /// Moves the last access of a session that is not over; the session, if it is not.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn touch(&self, key: &Key, now: DateTime<Utc>) -> Result<Option<Session>, Trouble> {
        let (column, value) = by(key);
        let sql = format!(
            "UPDATE control.sessions SET last_accessed_at = greatest(last_accessed_at, $2)
             WHERE {column} = $1 AND status <> 'DROPPED' AND expires_at > $2 RETURNING {COLUMNS}"
        );
        self.session(&sql, &[value.as_sql(), &now]).await
    }

    /// Marks a deferred session as wanted; only the first caller gets it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn want(&self, id: SessionId) -> Result<Option<Session>, Trouble> {
        let sql = format!(
            "UPDATE control.sessions SET deferred = false
             WHERE id = $1 AND deferred AND status = 'PENDING' RETURNING {COLUMNS}"
        );
        self.session(&sql, &[&id.uuid()]).await
    }

    /// PENDING → PROVISIONING; `None` when it is not PENDING.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin(&self, id: SessionId, reason: &str, now: DateTime<Utc>) -> Result<Option<Session>, Trouble> {
        self.step(
            &state::BEGIN,
            "",
            "deferred = false, worked_at = $3",
            id,
            reason,
            now,
            &[],
        )
        .await
    }

    /// PROVISIONING → READY; `None` when it is not PROVISIONING. Nobody is told yet: see [`Self::announce`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn finish(
        &self,
        id: SessionId,
        place: &Place,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let sql = format!(
            "WITH changed AS (
                 UPDATE control.sessions
                 SET status = 'READY', schema_name = $2, role_name = $3, ready_at = $4, worked_at = NULL,
                     last_accessed_at = greatest(last_accessed_at, $4), generation = generation + 1
                 WHERE id = $1 AND status = 'PROVISIONING' RETURNING *
             ), noted AS (
                 INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
                 SELECT id, $4, 'PROVISIONING', status, $5, $6 FROM changed
             )
             SELECT {COLUMNS} FROM changed"
        );
        let params: [&(dyn ToSql + Sync); 6] = [
            &id.uuid(),
            &place.schema.as_str(),
            &place.role.as_str(),
            &now,
            &reason,
            &self.replica,
        ];
        self.session(&sql, &params).await
    }

    /// PROVISIONING → FAILED; `None` when it is not PROVISIONING.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn fail(
        &self,
        id: SessionId,
        failure: &Failure,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let failure: [&(dyn ToSql + Sync); 2] = [&failure.code, &failure.message];
        self.step(&state::FAIL, "", FAILURE, id, reason, now, &failure).await
    }

    /// READY → FAILED; `None` when it is not what was `seen` any more: then its schema is another one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lose(
        &self,
        seen: (SessionId, i64),
        failure: &Failure,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let same = "AND generation = $7 AND restarting_since IS NULL";
        let (id, generation) = seen;
        let more: [&(dyn ToSql + Sync); 3] = [&failure.code, &failure.message, &generation];
        self.step(&state::LOSE, same, FAILURE, id, reason, now, &more).await
    }

    /// → DROPPED; `None` when it is over already, or there never was one. In the same transaction everybody is told.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end(&self, key: &Key, reason: &str, now: DateTime<Utc>) -> Result<Option<Session>, Trouble> {
        let (column, value) = by(key);
        let sql = format!(
            "WITH target AS (
                 SELECT id, status AS was FROM control.sessions
                 WHERE {column} = $1 AND status = ANY ($2) FOR UPDATE
             ), changed AS (
                 UPDATE control.sessions AS session
                 SET status = 'DROPPED', ended_at = $3, deferred = false, restarting_since = NULL,
                     drop_due = drop_due OR was <> 'PENDING'
                 FROM target WHERE session.id = target.id RETURNING session.*, was
             ), noted AS (
                 INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
                 SELECT id, $3, was, status, $4, $5 FROM changed
             )
             SELECT {COLUMNS}, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        let from = state::END.from_words();
        let params: [&(dyn ToSql + Sync); 5] = [value.as_sql(), &from, &now, &reason, &self.replica];
        self.session(&sql, &params).await
    }

    /// One step of one session, recorded and told in its statement. `set` may use `$5` and on for `more`, and so may
    /// `also`, what must hold besides.
    #[expect(clippy::too_many_arguments, reason = "parts of one statement")]
    async fn step(
        &self,
        step: &state::Step,
        also: &str,
        set: &str,
        id: SessionId,
        reason: &str,
        now: DateTime<Utc>,
        more: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Session>, Trouble> {
        let [from] = step.from else {
            return Err(Trouble::Row("a step from several states".to_owned()));
        };
        let to = step.to;
        let sql = format!(
            "WITH changed AS (
                 UPDATE control.sessions SET status = '{to}', {set} WHERE id = $1 AND status = '{from}' {also}
                 RETURNING *
             ), noted AS (
                 INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
                 SELECT id, $3, '{from}', status, $2, $4 FROM changed
             )
             SELECT {COLUMNS}, pg_notify('{CHANNEL}', encode(token_hash, 'hex')) FROM changed"
        );
        let id = id.uuid();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&id, &reason, &now, &self.replica];
        params.extend(more);
        self.session(&sql, &params).await
    }

    /// Tells everybody that a session changed. Apart from the change where its commit is waited for: PostgreSQL lets
    /// transactions with notices commit one at a time.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn announce(&self, hash: &TokenHash) -> Result<(), Trouble> {
        let payload = hex::encode(hash.as_bytes());
        let client = self.client().await?;
        let (begun, told, done) = join3(
            client.batch_execute("BEGIN; SET LOCAL synchronous_commit = off"),
            client.batch_execute(&format!("NOTIFY {CHANNEL}, '{payload}'")),
            client.batch_execute("COMMIT"),
        )
        .await;
        begun.and(told).and(done)?;
        Ok(())
    }

    /// The provisioner has taken these sessions' schemas away.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn gone(&self, ids: &[SessionId]) -> Result<u64, Trouble> {
        let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
        self.execute(
            "UPDATE control.sessions SET drop_due = false WHERE id = ANY ($1) AND drop_due",
            &[&ids],
        )
        .await
    }
}

/// The column that a key names and its value.
/// What a statement does, for its span.
fn word(sql: &str) -> &str {
    sql.split_ascii_whitespace().next().unwrap_or_default()
}

fn by(key: &Key) -> (&'static str, KeyValue) {
    match key {
        Key::Token(token) => ("token_hash", KeyValue::Hash(token.hash().as_bytes().to_vec())),
        Key::Hash(hash) => ("token_hash", KeyValue::Hash(hash.as_bytes().to_vec())),
        Key::Id(id) => ("id", KeyValue::Id(id.uuid())),
    }
}

enum KeyValue {
    Hash(Vec<u8>),
    Id(uuid::Uuid),
}

impl KeyValue {
    fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Hash(hash) => hash,
            Self::Id(id) => id,
        }
    }
}

/// The words of several states.
fn words(statuses: &[SessionStatus]) -> Vec<&'static str> {
    statuses.iter().map(|status| status.as_str()).collect()
}
