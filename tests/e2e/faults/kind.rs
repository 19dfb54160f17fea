//! What is special about a life, so that between them all steps are taken.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::eventually;
use tokio_postgres::Client as Database;

/// How a life differs from the plainest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only looks: its slot stays as it was.
    Looks,
    /// It changes demo data, so that its slot is emptied.
    Writes,
    /// It changes catalogue entries of its slot, so that the slot is dropped.
    Spoils,
    /// It leaves no role over, so that the next slot needs new ones.
    TakesRoles,
    /// It is prepared when it is asked for.
    Waits,
    /// It ends before it begins.
    EndsUnborn,
    /// It ends while it is being prepared.
    EndsEarly,
    /// The name of its schema is taken: it fails.
    Fails,
}

/// All, in the order in which lives take turns.
pub const KINDS: [Kind; 8] = [
    Kind::Waits,
    Kind::Spoils,
    Kind::Writes,
    Kind::EndsUnborn,
    Kind::Fails,
    Kind::TakesRoles,
    Kind::EndsEarly,
    Kind::Looks,
];

/// Takes the roles away that no slot has yet.
const FEWER: &str = "DO $$ DECLARE spare text; BEGIN
    FOR spare IN DELETE FROM provisioner.slots WHERE id IN (
        SELECT id FROM provisioner.slots WHERE state = 'empty' FOR UPDATE SKIP LOCKED) RETURNING role_name
    LOOP EXECUTE format('DROP ROLE %I', spare); END LOOP; END $$";

impl Kind {
    /// Of the life of this number.
    pub fn of(number: usize) -> Self {
        KINDS[number % KINDS.len()]
    }

    /// Whether its creation asks for a schema at once.
    pub fn is_prepared_at_once(self) -> bool {
        match self {
            Self::Waits | Self::EndsUnborn | Self::EndsEarly | Self::Fails => false,
            Self::Looks | Self::Writes | Self::Spoils | Self::TakesRoles => true,
        }
    }

    /// What becomes of the slot of a session that is READY. Whatever is in the way of it, the next one of this kind may
    /// do it.
    pub async fn use_slot(self, database: &Database, session: &str) {
        let schema = schema(session);
        let change = match self {
            Self::Spoils => format!("CREATE TABLE {schema}.extra ()"),
            Self::Writes | Self::Waits => format!("UPDATE {schema}.users SET name = name"),
            Self::TakesRoles => FEWER.to_owned(),
            Self::Looks | Self::EndsUnborn | Self::EndsEarly | Self::Fails => return,
        };
        let _ = database.batch_execute(&change).await;
    }
}

/// Somebody else's schema of the name that a session's would have.
pub struct Foreign<'a>(&'a Database, String);

impl<'a> Foreign<'a> {
    /// Makes it.
    pub async fn make(database: &'a Database, session: &str) -> Result<Self> {
        let schema = schema(session);
        database.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        Ok(Self(database, schema))
    }

    /// Takes it away. It must not have been touched.
    pub async fn take_away(self) -> Result<()> {
        let owner = "SELECT count(*) FROM pg_namespace WHERE nspname = $1 AND nspowner = current_user::regrole";
        let count: i64 = self.0.query_one(owner, &[&self.1]).await?.get(0);
        ensure!(count == 1, "{} was not ours", self.1);
        self.0.batch_execute(&format!("DROP SCHEMA {}", self.1)).await?;
        Ok(())
    }
}

/// While it lives no slot changes hands.
pub struct Standstill<'a>(&'a Database);

impl<'a> Standstill<'a> {
    /// `None` when slots are too busy.
    pub async fn begin(database: &'a Database) -> Option<Self> {
        let lock = "BEGIN; SET LOCAL lock_timeout = '3s'; LOCK TABLE provisioner.slots IN SHARE MODE";
        if database.batch_execute(lock).await.is_ok() {
            return Some(Self(database));
        }
        let _ = database.batch_execute("ROLLBACK").await;
        None
    }

    /// Waits until the session is being prepared, for a while: not every preparation gets so far.
    pub async fn await_preparation(&self, session: &str) {
        let sql = "SELECT status = 'PROVISIONING' FROM control.sessions WHERE id = $1::text::uuid";
        let seen = eventually("it is being prepared", Duration::from_secs(2), async || {
            Ok(self.0.query_one(sql, &[&session]).await?.get(0))
        });
        let _ = seen.await;
    }

    /// All goes on.
    pub async fn end(self) -> Result<()> {
        Ok(self.0.batch_execute("COMMIT").await?)
    }
}

fn schema(session: &str) -> String {
    format!("preview_{}", session.replace('-', ""))
}
