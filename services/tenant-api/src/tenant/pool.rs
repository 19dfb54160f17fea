//! Connections of the data plane. Private to this folder: a tenant's rows are reached through its transaction only.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{join_all, select_ok};
use sea_orm::sqlx::{
    self, ConnectOptions, Connection, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use service::config::Secret;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

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
    lanes: Arc<[Lane]>,
    statements: Arc<AtomicU64>,
    metrics: Statements,
    canary: Canary,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Lane {
    /// At most one.
    connection: PgPool,
    /// Who has it; also while it is being opened, which the pool does not tell.
    turn: Arc<Semaphore>,
}

type Turn = OwnedSemaphorePermit;

/// A lent connection; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lent {
    connection: PoolConnection<Postgres>,
    _turn: Turn,
}

impl Lent {
    /// Closes it instead of giving it back.
    pub fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
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
        let lanes: Arc<[Lane]> = (0..size.max(1)).map(|_| lane(&options)).collect();
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
        let closing = join_all(self.lanes.iter().map(|lane| lane.connection.close()));
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
    pub(super) async fn acquire(&self, slot: usize) -> Result<Lent, sqlx::Error> {
        let all = self.lanes.len();
        let (lane, turn) = match self.free(slot, LANES.min(all)) {
            Some(found) => found,
            None => match timeout(PATIENCE, self.turn(slot % all)).await {
                Ok(found) => found?,
                Err(_) => self.any(slot).await?,
            },
        };
        let connection = self.lanes[lane].connection.acquire().await?;
        Ok(Lent {
            connection,
            _turn: turn,
        })
    }

    /// The first lane, from the slot's own on, that nobody has.
    fn free(&self, slot: usize, lanes: usize) -> Option<(usize, Turn)> {
        (0..lanes).find_map(|step| {
            let lane = (slot + step) % self.lanes.len();
            let turn = Arc::clone(&self.lanes[lane].turn).try_acquire_owned().ok()?;
            Some((lane, turn))
        })
    }

    async fn any(&self, slot: usize) -> Result<(usize, Turn), sqlx::Error> {
        if let Some(found) = self.free(slot, self.lanes.len()) {
            return Ok(found);
        }
        let turns = select_ok((0..self.lanes.len()).map(|lane| Box::pin(self.turn(lane))));
        timeout(ACQUIRE, turns)
            .await
            .map_or(Err(sqlx::Error::PoolTimedOut), |found| found.map(|(found, _)| found))
    }

    /// Waits for a lane; who came first gets it first.
    async fn turn(&self, lane: usize) -> Result<(usize, Turn), sqlx::Error> {
        let turn = Arc::clone(&self.lanes[lane].turn).acquire_owned().await;
        turn.map(|turn| (lane, turn)).map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Connections now: all and idle ones.
    #[must_use]
    pub fn level(&self) -> (u32, usize) {
        level(&self.lanes)
    }
}

pub(super) fn level(lanes: &[Lane]) -> (u32, usize) {
    lanes
        .iter()
        .map(|lane| &lane.connection)
        .fold((0, 0), |(all, idle), lane| (all + lane.size(), idle + lane.num_idle()))
}

fn lane(options: &PgConnectOptions) -> Lane {
    let connection = PgPoolOptions::new()
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
        .connect_lazy_with(options.clone());
    Lane {
        connection,
        turn: Arc::new(Semaphore::new(1)),
    }
}
