//! Connections of the data plane. Private to this folder: a tenant's rows are reached through its transaction only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{join_all, select_ok};
use sea_orm::sqlx::{
    self, ConnectOptions, Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use service::config::Secret;
use tokio::time::timeout;

use super::{canary::Canary, metrics::Statements};

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
/// Named statements kept on each connection, about 16 kB each. The application has some three hundred, of which a
/// visitor meets a few dozen.
const STATEMENTS: usize = 512;
/// How often a statement may stand in that cache.
const VARIANTS: usize = 4 * LANES;

/// Lanes of a slot: its own and the next ones.
const LANES: usize = 3;
/// How long a request waits for its own lane before it takes any. Under load all lanes have a queue, and the place in
/// one's own is worth more than the front of another; this is for the rare neighbour whose statement takes long.
const PATIENCE: Duration = Duration::from_millis(100);

/// The pool that all sessions share, in lanes of one connection. A session keeps to the lanes next to its own, so that a
/// connection meets few of them: PostgreSQL plans a statement anew whenever it runs for another session than before
/// (ADR 24).
#[derive(Clone, Debug)]
pub struct TenantPool {
    lanes: Arc<[PgPool]>,
    statements: Arc<AtomicU64>,
    metrics: Statements,
    canary: Canary,
}

impl TenantPool {
    /// A pool of at most `size` connections; it connects when it is first used. One transaction in `canary` asks its slot
    /// whose it is.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn new(url: &Secret, size: u32, canary: u64) -> anyhow::Result<Self> {
        let options = url
            .reveal()
            .parse::<PgConnectOptions>()?
            .application_name("tenant-api")
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let lanes: Arc<[PgPool]> = (0..size.max(1)).map(|_| lane(&options)).collect();
        Ok(Self {
            metrics: Statements::new(&lanes),
            lanes,
            statements: Arc::default(),
            canary: Canary::new(canary),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let ping = async { self.acquire(0).await?.ping().await };
        timeout(PING, ping).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Closes all connections; those that are still lent are given up after a moment.
    pub async fn close(&self) {
        let closing = join_all(self.lanes.iter().map(PgPool::close));
        if timeout(CLOSE, closing).await.is_err() {
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

    pub(super) fn canary(&self) -> &Canary {
        &self.canary
    }

    /// Which of a statement's variants a slot uses: slots that share lanes have different ones, so that each keeps its
    /// plans there.
    pub(super) fn variant(&self, slot: usize) -> usize {
        (slot / self.lanes.len() * LANES + slot % LANES) % VARIANTS
    }

    /// A connection for a slot: that of the first free one of its lanes; when none is free for long, any.
    pub(super) async fn acquire(&self, slot: usize) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let all = self.lanes.len();
        if let Some(found) = self.free(slot, LANES.min(all)).await {
            return found;
        }
        if let Ok(found) = timeout(PATIENCE, self.lanes[slot % all].acquire()).await {
            return found;
        }
        // One is opened at most: waiting for all lanes opens all, and gives up what is not the first.
        if let Some(found) = self.free(slot, all).await {
            return found;
        }
        let lent = select_ok(self.lanes.iter().map(|lane| Box::pin(lane.acquire()))).await?;
        Ok(lent.0)
    }

    /// The connection of the first lane, from the slot's own on, that is idle or not open yet.
    async fn free(&self, slot: usize, lanes: usize) -> Option<Result<PoolConnection<Postgres>, sqlx::Error>> {
        for step in 0..lanes {
            let lane = &self.lanes[(slot + step) % self.lanes.len()];
            if let Some(connection) = lane.try_acquire() {
                return Some(Ok(connection));
            }
            if lane.size() == 0 {
                return Some(lane.acquire().await);
            }
        }
        None
    }

    /// Connections now: all and idle ones.
    #[must_use]
    pub fn level(&self) -> (u32, usize) {
        level(&self.lanes)
    }
}

pub(super) fn level(lanes: &[PgPool]) -> (u32, usize) {
    lanes
        .iter()
        .fold((0, 0), |(all, idle), lane| (all + lane.size(), idle + lane.num_idle()))
}

fn lane(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
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
        .connect_lazy_with(options.clone())
}
