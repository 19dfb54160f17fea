//! Slots: schemas with all tables, made ahead, given to sessions, emptied and used again.
//!
//! ```text
//! empty ──prepare──▶ preparing ──▶ ready ──claim──▶ claimed ──release──▶ gone ──recycle──▶ ready
//!   ▲                                                                      │
//!   └────────────────────────────── drop ◀─────────────────────────────────┘
//! ```
//! The record of a slot and its schema change in one transaction, so a process that dies in between leaves either
//! the state before or the state after. Whoever works on a slot holds the lock on its row.

mod claim;
mod cold;
mod drop;
mod fill;
mod furnish;
mod imprint;
mod measure;
mod prepare;
mod reconcile;
mod recycle;
mod release;
mod renew;
mod seed;
pub mod store;
mod traffic;

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use domain::RoleName;
use service::lifecycle::Lifecycle;
use tokio::sync::{Notify, oneshot};
use tracing::{Instrument, Span, info_span};

pub use claim::{Home, Order};
pub use reconcile::Repairs;
pub use renew::Renewal;

use self::{cold::Cold, traffic::Traffic};
use crate::{
    config,
    database::{Database, WORKERS},
    error::Error,
    metrics::Metrics,
};

/// The span of a database call.
fn call(step: &'static str) -> Span {
    info_span!(
        "call",
        otel.name = step,
        otel.kind = "client",
        db.system.name = "postgresql"
    )
}

/// The rest of what runs in the background after a failure: a lost connection costs a moment, a database that is away
/// is not asked all the time.
#[derive(Debug)]
struct Rest(Duration);

impl Rest {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    /// Twice as long each time.
    fn next(&mut self) -> Duration {
        let rest = self.0;
        self.0 = (rest * 2).min(Self::LONGEST);
        rest
    }
}

/// Leaves foreign keys unchecked until the transaction ends; `install` makes the function.
const WITHOUT_CHECKS: &str = "SELECT provisioner.without_checks()";

/// The slots of one database, as one replica sees them.
pub struct Slots {
    database: Database,
    pool: config::Pool,
    names: Names,
    lifecycle: Lifecycle,
    metrics: Metrics,
    traffic: Traffic,
    cold: Arc<Cold>,
    /// How many times as long as it worked emptying rests: the fuller the pool, the longer.
    ease: AtomicU32,
    /// A slot is missing in the pool.
    fill: Notify,
    /// A session is over.
    ended: Notify,
    /// A ready slot has no demo data.
    bare: Notify,
}

/// Names that depend on the database.
#[derive(Clone, Debug)]
struct Names {
    database: String,
    tenant: RoleName,
    /// `WITH INHERIT FALSE, SET TRUE` where the server knows it; before 16 the login's NOINHERIT does the same.
    membership: &'static str,
}

impl Slots {
    /// Looks at the database and announces this replica's DDL as the present one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open(
        database: Database,
        pool: config::Pool,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> Result<Arc<Self>, Error> {
        let connection = database.connection().await?;
        let row = connection
            .query_one(
                "SELECT current_database()::text, current_setting('server_version_num')::int",
                &[],
            )
            .await?;
        store::announce(&connection, modules::fingerprint()).await?;
        drop(connection);
        let name: String = row.get(0);
        Ok(Arc::new(Self {
            names: Names {
                tenant: RoleName::parse(&format!("{name}_tenant"))?,
                database: name,
                membership: if row.get::<_, i32>(1) >= 160_000 {
                    " WITH INHERIT FALSE, SET TRUE"
                } else {
                    ""
                },
            },
            database,
            pool,
            lifecycle,
            metrics,
            traffic: Traffic::default(),
            cold: Arc::default(),
            ease: AtomicU32::new(0),
            fill: Notify::new(),
            ended: Notify::new(),
            bare: Notify::new(),
        }))
    }

    /// Starts what goes on beside the calls: filling the pool, furnishing it, emptying ended slots, reconciling.
    pub fn start(self: &Arc<Self>) {
        self.lifecycle.spawn(self.clone().keep_reconciling());
        self.lifecycle.spawn(self.clone().keep_filling());
        if !self.pool.fresh.is_zero() {
            self.lifecycle.spawn(self.clone().keep_furnishing());
        }
        for number in 0..WORKERS {
            let worker = recycle::Worker::new(number, &self.database);
            self.lifecycle.spawn(self.clone().keep_emptying(worker));
        }
    }

    /// Levels of the pool.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn levels(&self) -> Result<store::Levels, Error> {
        let connection = self.database.connection().await?;
        let levels = store::levels(&connection, self.pool.target).await?;
        self.metrics.levels(&levels);
        Ok(levels)
    }

    /// Slots, by number.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list(&self, selection: &store::Selection) -> Result<Vec<store::Slot>, Error> {
        store::list(&*self.database.connection().await?, selection).await
    }

    /// Changes how many ready slots are kept, for all replicas. What is too much goes at once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn set_target(&self, target: u32) -> Result<store::Levels, Error> {
        let connection = self.database.connection().await?;
        store::set_target(&connection, target).await?;
        store::discard_surplus(&connection, target, Duration::ZERO).await?;
        drop(connection);
        self.fill.notify_one();
        self.ended.notify_one();
        self.levels().await
    }

    /// Runs work to its end even when the caller hangs up, so that nothing stops halfway through a transaction.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, result) = oneshot::channel();
        let task = async move {
            let _ = done.send(work.await);
        };
        self.lifecycle.spawn(task.in_current_span());
        result.await.map_err(|_| Error::Cut)?
    }
}
