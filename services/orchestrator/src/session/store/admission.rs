//! Admission: limits, record and first transitions of a creation in one transaction and one round trip.

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::Object;
use domain::{Currency, SessionId};
use futures::future::join3;
use tokio_postgres::{Row, types::ToSql};

use super::{Store, row};
use crate::{
    database::Trouble,
    session::{
        Policy, Session, Update,
        limits::Limit,
        state::reason::{CREATED, REQUESTED},
    },
};

/// A session that asks to be admitted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its record, PENDING or PROVISIONING.
    pub session: Session,
    /// Hash, fingerprint and nonce of its idempotency key.
    pub key: Option<[[u8; 32]; 3]>,
}

/// The verdict.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It is recorded.
    Admitted,
    /// Its key was used within the last 24 hours.
    Known {
        /// By the creation of this session.
        session: Box<Session>,
        /// Tells whether the request was the same.
        fingerprint: [u8; 32],
        /// Makes its token again.
        nonce: [u8; 32],
    },
    /// A limit is reached.
    Refused(Limit),
}

/// Serialises admissions of all replicas, so that no two of them count the same free place. A statement sees what was
/// committed before it began, hence the lock is taken by one of its own before.
const OPEN: &str = "BEGIN; SELECT pg_advisory_xact_lock(x'6c705f61646d'::bigint)";

/// As [`OPEN`], without waiting for the disk: the commit that makes the session READY comes later in the same log and
/// is waited for, and no caller has an answer before that.
const OPEN_LAZY: &str =
    "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock(x'6c705f61646d'::bigint)";

const ADMIT: &str = "
WITH known AS (
    SELECT session_id, fingerprint, nonce FROM control.idempotency_keys
    WHERE key_hash = $15 AND created_at > $10::timestamptz - interval '24 hours'
), used AS (
    SELECT
        (SELECT count(*) FROM control.creations
         WHERE client_network = $9 AND at > $10 - interval '1 hour') AS hour,
        (SELECT count(*) FROM control.sessions
         WHERE client_network = $9 AND status IN ('PENDING', 'PROVISIONING', 'READY')) AS address,
        (SELECT count(*) FROM control.sessions WHERE status IN ('PENDING', 'PROVISIONING', 'READY')) AS everyone
), verdict AS (
    SELECT CASE
        WHEN EXISTS (SELECT FROM known) THEN 'KNOWN'
        WHEN hour >= $12 THEN 'RATE_LIMITED'
        WHEN address >= $13 THEN 'SESSION_LIMIT_PER_IP'
        WHEN everyone >= $14 THEN 'SCHEMA_CAPACITY_REACHED'
        ELSE 'ADMITTED'
    END AS word FROM used
), admitted AS (
    INSERT INTO control.sessions (id, token_hash, selected_features, ignored_features, tier, template_slug, currency,
        status, client_network, created_at, last_accessed_at, expires_at, deferred, worked_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $18, CASE WHEN $18 THEN NULL ELSE $10 END
    FROM verdict WHERE word = 'ADMITTED' RETURNING id, status
), created AS (
    INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
    SELECT id, $10, NULL, 'PENDING', $20, $19 FROM admitted
    UNION ALL SELECT id, $10, 'PENDING', status, $21, $19 FROM admitted WHERE status = 'PROVISIONING'
), counted AS (
    INSERT INTO control.creations (client_network, at) SELECT $9, $10 FROM admitted
), keyed AS (
    INSERT INTO control.idempotency_keys (key_hash, fingerprint, nonce, session_id, created_at)
    SELECT $15, $16, $17, id, $10 FROM admitted WHERE $15 IS NOT NULL
    ON CONFLICT (key_hash) DO UPDATE SET fingerprint = excluded.fingerprint, nonce = excluded.nonce,
        session_id = excluded.session_id, created_at = excluded.created_at
)
SELECT word, session_id, fingerprint, nonce FROM verdict LEFT JOIN known ON true";

const RESTART: &str = "
WITH changed AS (
    UPDATE control.sessions AS session SET restarting_since = $2, worked_at = $2, generation = generation + 1,
        last_accessed_at = greatest(last_accessed_at, $2), selected_features = coalesce($3, selected_features),
        ignored_features = coalesce($4, ignored_features), tier = coalesce($5, tier)
    WHERE id = $1 AND status = 'READY' AND restarting_since IS NULL AND expires_at > $2
        AND (SELECT count(*) FROM control.creations AS creation
             WHERE creation.client_network = session.client_network AND at > $2 - interval '1 hour') < $6
    RETURNING *
), counted AS (
    INSERT INTO control.creations (client_network, at) SELECT client_network, $2 FROM changed
), noted AS (
    INSERT INTO control.session_changes (session_id, at, kind, replica) SELECT id, $2, 'RESTARTING', $7 FROM changed
)
SELECT *, pg_notify('livepreview_sessions', encode(token_hash, 'hex')) FROM changed";

impl Store {
    /// Admits a creation, or says why not.
    ///
    /// # Errors
    /// When the database is away; then nothing is recorded.
    pub async fn admit(&self, candidate: &Candidate, policy: &Policy) -> Result<Admission, Trouble> {
        let Candidate { session, key } = candidate;
        let limit = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let limits = policy.limits;
        let (rate, address, everyone) = (
            limit(limits.per_hour),
            limit(limits.max_per_address),
            limit(limits.max_schemas),
        );
        let part = |index: usize| key.as_ref().map(|parts| parts[index].as_slice());
        let (key_hash, fingerprint, nonce) = (part(0), part(1), part(2));
        let params: [&(dyn ToSql + Sync); 21] = [
            &session.id.uuid(),
            &session.token_hash.as_bytes().as_slice(),
            &session.selected,
            &session.ignored,
            &session.tier,
            &session.template_slug,
            &Currency::as_str(session.currency),
            &session.status.as_str(),
            &session.client_network,
            &session.created_at,
            &session.expires_at,
            &rate,
            &address,
            &everyone,
            &key_hash,
            &fingerprint,
            &nonce,
            &session.deferred,
            &self.replica,
            &CREATED,
            &REQUESTED,
        ];
        let client = self.client().await?;
        let lazy = session.status == domain::SessionStatus::Provisioning;
        let open = if lazy { OPEN_LAZY } else { OPEN };
        let rows = locked(&client, open, ADMIT, &params).await?;
        let verdict = rows.first().ok_or_else(|| Trouble::Row("no verdict".to_owned()))?;
        match verdict.get("word") {
            "ADMITTED" => Ok(Admission::Admitted),
            "KNOWN" => {
                let find = format!("SELECT {} FROM control.sessions WHERE id = $1", row::COLUMNS);
                let id: uuid::Uuid = verdict.get("session_id");
                let session = row::session(&client.query_one(&find, &[&id]).await?)?;
                Ok(Admission::Known {
                    session: Box::new(session),
                    fingerprint: bytes(verdict.get("fingerprint"))?,
                    nonce: bytes(verdict.get("nonce"))?,
                })
            }
            word => Limit::of_verdict(word)
                .map(Admission::Refused)
                .ok_or_else(|| Trouble::Row(format!("verdict {word}"))),
        }
    }

    /// Marks a READY session as restarting, with changes of its features and tier. A restart counts as a creation in
    /// the rate of its client network; `None` when that is reached, or when the session cannot be restarted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_restart(
        &self,
        id: SessionId,
        update: &Update,
        per_hour: u64,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, Trouble> {
        let selected = update.selection.as_ref().map(|selection| &selection.selected);
        let ignored = update.selection.as_ref().map(|selection| &selection.ignored);
        let rate = i64::try_from(per_hour).unwrap_or(i64::MAX);
        let id = id.uuid();
        let params: [&(dyn ToSql + Sync); 7] = [&id, &now, &selected, &ignored, &update.tier, &rate, &self.replica];
        let client = self.client().await?;
        let rows = locked(&client, OPEN, RESTART, &params).await?;
        rows.first().map(row::session).transpose()
    }

    /// How long until a place below `limit` is free, if nobody else takes it and the sessions in the way see no more
    /// traffic; nobody is idle before `listening`. Not positive when one is free, or only waits for being ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn wait(
        &self,
        limit: Limit,
        network: &str,
        policy: &Policy,
        listening: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<TimeDelta, Trouble> {
        let ends = "SELECT least(expires_at, greatest($4, last_accessed_at + $2::float8 * interval '1 millisecond')) AS free_at
                    FROM control.sessions WHERE status IN ('PENDING', 'PROVISIONING', 'READY')";
        let (sql, places) = match limit {
            Limit::Rate => (
                "SELECT at + interval '1 hour' AS free_at FROM control.creations
                 WHERE client_network = $1 AND $2::float8 IS NOT NULL AND $4::timestamptz IS NOT NULL"
                    .to_owned(),
                policy.limits.per_hour,
            ),
            Limit::Address => (format!("{ends} AND client_network = $1"), policy.limits.max_per_address),
            Limit::Capacity => (format!("{ends} AND $1::text IS NOT NULL"), policy.limits.max_schemas),
        };
        // With `places` taken from the last one back, the next to be free is the one that makes room.
        let sql = format!("{sql} ORDER BY free_at DESC OFFSET $3 LIMIT 1");
        let offset = i64::try_from(places).unwrap_or(i64::MAX).saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some hours")]
        let idle = policy.idle.num_milliseconds() as f64;
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let row = client
            .query_opt(&statement, &[&network, &idle, &offset, &listening])
            .await?;
        Ok(row.map_or(TimeDelta::zero(), |row| row.get::<_, DateTime<Utc>>(0) - now))
    }
}

/// Runs one statement of a transaction that `open` begins, in one round trip.
#[tracing::instrument(name = "db.transaction", skip_all, fields(otel.kind = "client"))]
async fn locked(client: &Object, open: &str, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    // Polled in this order, so sent in this order, in one go.
    let (opened, rows, committed) = join3(
        client.batch_execute(open),
        client.query(&statement, params),
        client.batch_execute("COMMIT"),
    )
    .await;
    opened?;
    let rows = rows?;
    committed?;
    Ok(rows)
}

fn bytes(column: &[u8]) -> Result<[u8; 32], Trouble> {
    column
        .try_into()
        .map_err(|_| Trouble::Row("an idempotency key".to_owned()))
}
