//! Connections with DDL rights, and the transaction that cannot leak.

use std::{ops::Deref, time::Duration};

use deadpool_postgres::{
    BuildError, Hook, HookError, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use service::config::{Reader, Secret};
use tokio_postgres::NoTls;

use crate::error::Error;

/// How long a call waits for a connection before it answers that the provisioner is busy.
const WAIT: Duration = Duration::from_secs(10);
/// A backend remembers every table it has met, about 2 MB a slot, and never forgets: old ones are replaced.
const OLDEST: Duration = Duration::from_secs(300);
const MOST_USES: usize = 300;
/// Those who empty slots. Each has a connection of its own, which knows the slots that are its share.
pub const WORKERS: usize = 2;

/// Which database, and how many connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its address, with the provisioner's login.
    pub url: Secret,
    /// Connections at most.
    pub pool_size: usize,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let size = reader.number("DB_POOL_SIZE", 16, 4..=100, "Connections to PostgreSQL at most.");
        Self {
            url: reader.database(
                "DATABASE_URL",
                None,
                "The database, with the provisioner's login that `provisioner install` made.",
            ),
            pool_size: usize::try_from(size).unwrap_or(16),
        }
    }
}

/// The pool.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    /// Pools of one.
    workers: [Pool; WORKERS],
}

impl Database {
    /// A pool that connects when a connection is first needed.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let mut address: tokio_postgres::Config = config
            .url
            .reveal()
            .parse()
            .map_err(|_| anyhow::anyhow!("DATABASE_URL is no database address that can be used"))?;
        address
            .application_name("livepreview-provisioner")
            .connect_timeout(Duration::from_secs(3));
        let calls = config.pool_size.saturating_sub(WORKERS).max(1);
        Ok(Self {
            pool: pool(&address, calls, MOST_USES)?,
            workers: [pool(&address, 1, usize::MAX)?, pool(&address, 1, usize::MAX)?],
        })
    }

    /// The same database over the connection of one worker.
    #[must_use]
    pub fn of_worker(&self, number: usize) -> Self {
        Self {
            pool: self.workers[number % WORKERS].clone(),
            workers: self.workers.clone(),
        }
    }

    /// A connection for single statements.
    ///
    /// # Errors
    /// When none is to be had.
    pub async fn connection(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }

    /// A transaction. `statements` run in the same message as its BEGIN.
    ///
    /// # Errors
    /// When there is no connection or a statement fails.
    pub async fn begin(&self, statements: &str) -> Result<Transaction, Error> {
        let transaction = self.lend().await?;
        transaction.batch_execute(&format!("BEGIN; {statements}")).await?;
        Ok(transaction)
    }

    /// A connection that the caller opens a transaction on at once, in one flush with further statements.
    ///
    /// # Errors
    /// When none is to be had.
    pub async fn lend(&self) -> Result<Transaction, Error> {
        Ok(Transaction(Some(self.connection().await?)))
    }

    /// Takes unused connections past their age out of the pool.
    pub fn retire(&self) {
        self.pool.retain(|_, metrics| metrics.age() <= OLDEST);
    }

    /// Replaces the connections that nobody uses now.
    pub fn renew(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.pool.close();
        self.workers.iter().for_each(Pool::close);
    }
}

/// Connections that live for [`OLDEST`] or `most_uses` at most.
fn pool(address: &tokio_postgres::Config, size: usize, most_uses: usize) -> Result<Pool, BuildError> {
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let retire = Hook::sync_fn(move |_, metrics| {
        if metrics.age() > OLDEST || metrics.recycle_count > most_uses {
            Err(HookError::message("old"))
        } else {
            Ok(())
        }
    });
    Pool::builder(Manager::from_config(address.clone(), NoTls, manager))
        .max_size(size)
        // The connection used last knows the slots used last.
        .queue_mode(QueueMode::Lifo)
        .pre_recycle(retire)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(WAIT),
            create: Some(WAIT),
            recycle: None,
        })
        .build()
}

/// An open transaction. Dropped without [`commit`](Self::commit) or [`rollback`](Self::rollback), on an error or with
/// its task, it closes its connection: PostgreSQL rolls back, and nobody inherits a half-done transaction.
pub struct Transaction(Option<Object>);

impl Transaction {
    /// Commits.
    ///
    /// # Errors
    /// When PostgreSQL does not confirm it.
    pub async fn commit(self) -> Result<(), Error> {
        self.end("COMMIT").await
    }

    /// Rolls back and keeps the connection.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &str) -> Result<(), Error> {
        self.batch_execute(statement).await?;
        self.closed();
        Ok(())
    }

    /// Gives the connection back after the caller ended the transaction itself, in one flush with other statements.
    pub fn closed(&mut self) {
        self.0 = None;
    }
}

impl Deref for Transaction {
    type Target = Object;

    fn deref(&self) -> &Object {
        match &self.0 {
            Some(connection) => connection,
            None => unreachable!("only `end` and `closed` take the connection, as their last act"),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
