//! The records of slots.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use domain::{RoleName, SchemaName, SessionId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Error;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A role without a schema.
    Empty,
    /// Its tables are being made.
    Preparing,
    /// Clean, in the pool.
    Ready,
    /// A session lives in it.
    Claimed,
    /// Its session is over.
    Gone,
}

/// A slot's record.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its number.
    pub id: i32,
    /// Its role.
    pub role: RoleName,
    /// What it is used for.
    pub state: State,
    /// Its schema now.
    pub schema: Option<SchemaName>,
    /// Which schema of this slot it is.
    pub generation: i32,
    /// Sessions that have lived in this schema.
    pub uses: i32,
    /// Of the DDL that made the schema.
    pub fingerprint: Option<String>,
    /// Of its catalogue rows when it was made.
    pub imprint: Option<String>,
    /// The session that lives in it.
    pub session: Option<SessionId>,
    /// The generation of the session for which it was claimed.
    pub session_generation: i64,
    /// Modules that were seeded.
    pub modules: Vec<String>,
    /// What the ids of their rows were made from.
    pub seed: Option<SessionId>,
}

/// How many slots are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Ready slots to keep.
    pub target: u32,
    /// Roles without a schema.
    pub empty: u32,
    /// Being made.
    pub preparing: u32,
    /// In the pool.
    pub ready: u32,
    /// Lived in.
    pub claimed: u32,
    /// To be emptied or dropped.
    pub gone: u32,
}

impl Levels {
    /// The counts with the names of their states.
    #[must_use]
    pub fn by_state(&self) -> [(&'static str, u32); 5] {
        [
            ("empty", self.empty),
            ("preparing", self.preparing),
            ("ready", self.ready),
            ("claimed", self.claimed),
            ("gone", self.gone),
        ]
    }
}

/// The columns that make a [`Slot`].
pub const COLUMNS: &str = "id, role_name, state, schema_name, generation, uses, fingerprint, imprint, session_id, \
     session_generation, modules, seed";

impl Slot {
    /// Reads [`COLUMNS`].
    ///
    /// # Errors
    /// When a name is none: the records were tampered with, and it must not reach SQL.
    pub fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id"),
            role: RoleName::parse(row.get("role_name"))?,
            state: match row.get("state") {
                "preparing" => State::Preparing,
                "ready" => State::Ready,
                "claimed" => State::Claimed,
                "gone" => State::Gone,
                _ => State::Empty,
            },
            schema: row
                .get::<_, Option<&str>>("schema_name")
                .map(SchemaName::parse)
                .transpose()?,
            generation: row.get("generation"),
            uses: row.get("uses"),
            fingerprint: row.get("fingerprint"),
            imprint: row.get("imprint"),
            session: row.get::<_, Option<Uuid>>("session_id").map(SessionId::from),
            session_generation: row.get("session_generation"),
            modules: row.get("modules"),
            seed: row.get::<_, Option<Uuid>>("seed").map(SessionId::from),
        })
    }

    /// Its schema. Every state but empty has one.
    ///
    /// # Errors
    /// When the record has none.
    pub fn schema(&self) -> Result<&SchemaName, Error> {
        self.schema.as_ref().ok_or(Error::NoSchema)
    }

    /// Its schema's name while no session lives there.
    ///
    /// # Errors
    /// Never with numbers of the records.
    pub fn pool_name(&self) -> Result<SchemaName, Error> {
        Ok(SchemaName::parse(&format!("slot_{:04}_{}", self.id, self.generation))?)
    }

    /// Whether this program's DDL made the schema.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.fingerprint.as_deref() == Some(modules::fingerprint())
    }
}

/// Makes this DDL the present one: that of the replica started last, so that a rollback works as an upgrade does.
///
/// # Errors
/// When the database is away.
pub async fn announce(client: &ClientWrapper, fingerprint: &str) -> Result<(), Error> {
    client
        .execute(
            "INSERT INTO provisioner.fingerprints VALUES ($1, clock_timestamp())
             ON CONFLICT (fingerprint) DO UPDATE SET started_at = clock_timestamp(), seen_at = clock_timestamp()",
            &[&fingerprint],
        )
        .await?;
    Ok(())
}

/// Notes that this DDL's program still runs.
///
/// # Errors
/// When the database is away.
pub async fn still_runs(client: &ClientWrapper, fingerprint: &str) -> Result<(), Error> {
    let sql = "UPDATE provisioner.fingerprints SET seen_at = clock_timestamp() WHERE fingerprint = $1";
    client.execute(sql, &[&fingerprint]).await?;
    Ok(())
}

/// Whether this DDL is the present one: the last started of those whose programs were seen within `recent`. While an
/// upgrade rolls, replicas of the old program keep out of the pool; one that is gone keeps nobody out.
///
/// # Errors
/// When the database is away.
pub async fn is_present(client: &ClientWrapper, fingerprint: &str, recent: Duration) -> Result<bool, Error> {
    let row = client
        .query_opt(
            "SELECT fingerprint = $1 FROM provisioner.fingerprints
             WHERE seen_at > clock_timestamp() - make_interval(secs => $2) ORDER BY started_at DESC LIMIT 1",
            &[&fingerprint, &recent.as_secs_f64()],
        )
        .await?;
    Ok(row.is_none_or(|row| row.get(0)))
}

/// How many ready slots to keep: what an operator set, else `configured`.
///
/// # Errors
/// When the database is away.
pub async fn target(client: &ClientWrapper, configured: u32) -> Result<u32, Error> {
    let row = client.query_opt("SELECT target FROM provisioner.pool", &[]).await?;
    Ok(row.map_or(configured, |row| u32::try_from(row.get::<_, i32>(0)).unwrap_or(0)))
}

/// Records what an operator set.
///
/// # Errors
/// When the database is away.
pub async fn set_target(client: &ClientWrapper, target: u32) -> Result<(), Error> {
    client
        .execute(
            "INSERT INTO provisioner.pool (target) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET target = $1",
            &[&i32::try_from(target).unwrap_or(i32::MAX)],
        )
        .await?;
    Ok(())
}

/// Counts slots by state. Ready slots of other DDL are as good as gone.
///
/// # Errors
/// When the database is away.
pub async fn levels(client: &ClientWrapper, configured: u32) -> Result<Levels, Error> {
    let statement = client
        .prepare_cached(
            "SELECT CASE WHEN state = 'ready' AND fingerprint <> $1 THEN 'gone' ELSE state END, count(*)
             FROM provisioner.slots GROUP BY 1",
        )
        .await?;
    let mut levels = Levels {
        target: target(client, configured).await?,
        ..Levels::default()
    };
    for row in client.query(&statement, &[&modules::fingerprint()]).await? {
        let count = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX);
        match row.get(0) {
            "preparing" => levels.preparing = count,
            "ready" => levels.ready = count,
            "claimed" => levels.claimed = count,
            "gone" => levels.gone = count,
            _ => levels.empty = count,
        }
    }
    Ok(levels)
}

/// Which records to list; the default is all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only slots of these sessions.
    pub sessions: Option<Vec<SessionId>>,
    /// Only slots with a higher number.
    pub after: i32,
    /// That many at most.
    pub most: Option<u32>,
}

/// Records, by number.
///
/// # Errors
/// When the database is away.
pub async fn list(client: &ClientWrapper, selection: &Selection) -> Result<Vec<Slot>, Error> {
    let sessions: Option<Vec<Uuid>> = selection
        .sessions
        .as_ref()
        .map(|sessions| sessions.iter().map(|session| session.uuid()).collect());
    let rows = client
        .query(
            &format!(
                "SELECT {COLUMNS} FROM provisioner.slots
                 WHERE ($1::uuid[] IS NULL OR session_id = ANY ($1)) AND id > $2 ORDER BY id LIMIT $3"
            ),
            &[&sessions, &selection.after, &selection.most.map(i64::from)],
        )
        .await?;
    rows.iter().map(Slot::of).collect()
}

/// One record.
///
/// # Errors
/// When the database is away.
pub async fn find(client: &ClientWrapper, id: i32) -> Result<Option<Slot>, Error> {
    let row = client
        .query_opt(
            &format!("SELECT {COLUMNS} FROM provisioner.slots WHERE id = $1"),
            &[&id],
        )
        .await?;
    row.as_ref().map(Slot::of).transpose()
}

/// Takes ready slots beyond the target out of the pool, those first that have been unused longest, if they have been
/// so for `unused`. Returns how many.
///
/// # Errors
/// When the database is away.
pub async fn discard_surplus(client: &ClientWrapper, target: u32, unused: Duration) -> Result<u64, Error> {
    // A ready slot keeps its name until it is dropped: a record and a name change together, and nobody knows this one.
    let discarded = client
        .execute(
            "UPDATE provisioner.slots SET state = 'gone', discard = true, updated_at = now()
             WHERE id IN (
                SELECT id FROM provisioner.slots
                WHERE id IN (
                    SELECT id FROM provisioner.slots WHERE state = 'ready' AND fingerprint = $1
                    ORDER BY updated_at DESC OFFSET $2
                ) AND updated_at < now() - make_interval(secs => $3)
                FOR UPDATE SKIP LOCKED)
             AND state = 'ready'",
            &[&modules::fingerprint(), &i64::from(target), &unused.as_secs_f64()],
        )
        .await?;
    Ok(discarded)
}
