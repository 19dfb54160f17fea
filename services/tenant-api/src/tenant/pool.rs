//! Connections of the data plane. Private to this folder: a tenant's rows are reached through its transaction only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::sqlx::{
    self, ConnectOptions, Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use service::config::Secret;

use super::metrics::Statements;

/// How long a request waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A backend never gives the memory of its relation cache back, so it is retired by age (findings.md).
const MAX_AGE: Duration = Duration::from_secs(8 * 60);
/// A connection that was idle for so long is tested before it is lent.
const TEST_AFTER: Duration = Duration::from_secs(30);
/// How long a probe waits for an answer: less than those who probe do.
const PING: Duration = Duration::from_secs(1);
/// How long a stop waits for lent connections: their requests had all the grace there was.
const CLOSE: Duration = Duration::from_secs(1);
/// Named statements kept on each connection; the application has some three hundred.
const STATEMENTS: usize = 512;

/// The pool that all sessions share.
#[derive(Clone, Debug)]
pub struct TenantPool {
    connections: PgPool,
    statements: Arc<AtomicU64>,
    metrics: Statements,
}

impl TenantPool {
    /// A pool of at most `size` connections; it connects when it is first used.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn new(url: &Secret, size: u32) -> anyhow::Result<Self> {
        let options = url
            .reveal()
            .parse::<PgConnectOptions>()?
            .application_name("tenant-api")
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(ACQUIRE)
            .max_lifetime(MAX_AGE)
            .idle_timeout(Duration::from_secs(120))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TEST_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self {
            metrics: Statements::new(&pool),
            connections: pool,
            statements: Arc::default(),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let ping = async { self.connections.acquire().await?.ping().await };
        tokio::time::timeout(PING, ping)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Closes all connections; those that are still lent are given up after a moment.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE, self.connections.close()).await.is_err() {
            tracing::warn!("connections were still in use when the process stopped");
        }
    }

    /// Statements of all transactions so far, BEGIN and COMMIT left out.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// A transaction is over.
    pub(super) fn record(&self, statements: u32) {
        self.metrics.record(statements);
    }

    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.connections.acquire().await
    }

    /// Connections now: all and idle ones.
    #[must_use]
    pub fn level(&self) -> (u32, usize) {
        (self.connections.size(), self.connections.num_idle())
    }
}
