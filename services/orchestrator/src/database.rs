//! Connections to the control database, and its migrations.

use std::{error::Error, str::FromStr, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use fault::Fault;
use service::config::{Reader, Secret};
use tokio_postgres::{NoTls, error::SqlState};

/// How the control database is reached.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its address.
    pub url: Secret,
    /// Most connections of the pool; one more listens for changes, one leads the reconciler.
    pub pool_size: usize,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.database(
                "CONTROL_DATABASE_URL",
                Some("DATABASE_URL"),
                "The database of the control plane, with the orchestrator's login.",
            ),
            pool_size: usize::try_from(reader.number("DB_POOL_SIZE", 16, 2..=500, "Connections to the database."))
                .unwrap_or(16),
        }
    }

    /// Settings of a connection that is not pooled.
    ///
    /// # Errors
    /// When the address is none.
    pub fn connection(&self) -> Result<tokio_postgres::Config, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::from_str(self.url.reveal())?;
        config
            .application_name("orchestrator")
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(30))
            .options("-c statement_timeout=10s -c lock_timeout=5s -c search_path=pg_catalog");
        Ok(config)
    }

    /// The pool. It connects when it is first asked.
    ///
    /// # Errors
    /// When the address is none.
    pub fn pool(&self) -> anyhow::Result<Pool> {
        let manager = Manager::from_config(
            self.connection()?,
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let (connect, wait) = (Some(Duration::from_secs(5)), Some(Duration::from_secs(10)));
        Ok(Pool::builder(manager)
            .max_size(self.pool_size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait,
                create: connect,
                recycle: connect,
            })
            .build()?)
    }
}

/// The control database failed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No connection could be had.
    #[error("no connection to the control database")]
    Connection(#[from] PoolError),
    /// A statement failed.
    #[error("a statement of the control database failed")]
    Statement(#[from] tokio_postgres::Error),
    /// A row holds what it never should.
    #[error("the control database holds an unreadable row: {0}")]
    Row(String),
}

/// Classes of a server that is away: lost connections, no room left, restarting.
const AWAY: [&str; 3] = ["08", "53", "57P"];
/// States of a server that is busy.
const BUSY: [SqlState; 4] = [
    SqlState::QUERY_CANCELED,
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::T_R_DEADLOCK_DETECTED,
    SqlState::T_R_SERIALIZATION_FAILURE,
];

impl Trouble {
    /// Whether it will likely be over soon: the server is away, restarting or full.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection(PoolError::Backend(error)) | Self::Statement(error) => match error.code() {
                Some(state) => BUSY.contains(state) || AWAY.iter().any(|class| state.code().starts_with(class)),
                None => error.is_closed() || error.source().is_some_and(<dyn Error>::is::<std::io::Error>),
            },
            Self::Connection(_) => true,
            Self::Row(_) => false,
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_passing() {
            Self::unavailable(2, trouble)
        } else {
            Self::internal(trouble)
        }
    }
}

/// Versioned changes of the schema `control`, in order. What has been released is never edited.
const MIGRATIONS: [(i32, &str, &str); 1] = [(1, "sessions", include_str!("../migrations/0001_sessions.sql"))];

/// Any number that nothing else locks: replicas that start together migrate one after the other.
const MIGRATION_LOCK: i64 = 0x6c70_5f6d_6967;

/// Brings the schema `control` up to date, in one transaction under a lock. `provisioner install` makes the schema;
/// where that has not run, a login with rights on the database makes its own.
///
/// # Errors
/// When the database is away or a migration fails; then nothing has changed.
pub async fn migrate(pool: &Pool) -> Result<(), Trouble> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await?;
    transaction
        .batch_execute(
            "DO $$ BEGIN IF to_regnamespace('control') IS NULL THEN CREATE SCHEMA control; END IF; END $$;
             CREATE TABLE IF NOT EXISTS control.migrations (
                 version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let newest: i32 = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM control.migrations", &[])
        .await?
        .get(0);
    for (version, name, sql) in MIGRATIONS.into_iter().filter(|(version, ..)| *version > newest) {
        tracing::info!(version, name, "migrating the control database");
        transaction.batch_execute(sql).await?;
        transaction
            .execute(
                "INSERT INTO control.migrations (version, name) VALUES ($1, $2)",
                &[&version, &name],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
