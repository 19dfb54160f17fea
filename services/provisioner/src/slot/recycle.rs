//! Emptying ended slots so that they can be used again.
//!
//! Why no row of the old session can appear in, or be read from, the slot afterwards: the schema was renamed when the
//! session ended, and the rename is committed. A request of the old session that began before may still be running.
//! It names tables by a search_path whose schema no longer exists, so it can only reach those tables that it has
//! locked already: taking a lock it does not hold makes a backend see the rename and look the name up again, in
//! vain. The locks below conflict with every lock on the tables, so they are granted only when no such request is
//! left; and whoever waits behind them looks its names up anew when it gets its turn. Readers count as much as
//! writers: a statement under an old lock would read the next visitor's rows.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_postgres::SimpleQueryMessage;
use tracing::{Instrument, info_span};

use super::{
    Rest, Slots, WITHOUT_CHECKS, imprint,
    store::{self, COLUMNS, Slot},
};
use crate::{database::Transaction, error::Error, metrics::Step};

/// Slots emptied or dropped at once.
pub const WORKERS: usize = 2;
/// How long to queue for a lock. Requests that come later queue behind, and a deadlock is noticed after 1 s only.
pub const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '250ms'";
/// How long calls may hold up the background.
const LULL: Duration = Duration::from_millis(25);
/// What waits for a lock is no work.
const LONGEST_WAY: Duration = Duration::from_millis(50);
/// How long ended slots are left alone when nobody tells of one: another replica may have died over it.
const TICK: Duration = Duration::from_secs(2);

/// What became of an ended slot.
enum Outcome {
    /// It is in the pool again.
    Recycled,
    /// It is not to be used again, or its tables are being dropped.
    Discarded,
    /// There was none.
    Idle,
}

impl Slots {
    /// Empties ended slots, each replica its share.
    pub(super) async fn keep_emptying(self: Arc<Self>) {
        let mut rest = Rest::new();
        while !self.lifecycle.is_stopping() {
            if !self.is_in_need() {
                self.traffic.lull(LULL).await;
            }
            let started = Instant::now();
            let done = self.empty_one().instrument(info_span!("slot.empty")).await;
            if done.is_ok() {
                rest = Rest::new();
            }
            match done {
                Ok(Outcome::Recycled) => {
                    self.metrics.emptied("recycled");
                    self.make_way(started.elapsed()).await;
                }
                Ok(Outcome::Discarded) => self.make_way(started.elapsed()).await,
                Ok(Outcome::Idle) => {
                    tokio::select! {
                        _ = timeout(TICK, self.ended.notified()) => {}
                        () = self.lifecycle.clone().stopping() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "an ended slot cannot be emptied");
                    self.pause(rest.next()).await;
                }
            }
        }
    }

    /// An ended slot is the quickest help for a claim that waits, and for those that soon would.
    fn is_in_need(&self) -> bool {
        self.cold.is_wanted() || self.low.load(Ordering::Relaxed)
    }

    /// Rests as long as it worked, unless there is need: when many sessions end together, half of the processors stay
    /// with those that go on.
    async fn make_way(&self, worked: Duration) {
        if !self.is_in_need() {
            self.pause(worked.min(LONGEST_WAY)).await;
        }
    }

    /// Does one piece of work on the slot that has waited longest: recycles it, or drops some of its tables.
    async fn empty_one(&self) -> Result<Outcome, Error> {
        let transaction = self.database.begin(LOCK_TIMEOUT).await?;
        let Some((slot, discard)) = pick(&transaction).await? else {
            transaction.rollback().await?;
            return Ok(Outcome::Idle);
        };
        // Another may be waiting: this worker has its hands full.
        self.ended.notify_one();
        let (id, started) = (slot.id, Instant::now());
        let (step, done) = if discard {
            (
                Step::Drop,
                self.drop_some(transaction, &slot).await.map(|()| Outcome::Discarded),
            )
        } else {
            (Step::Recycle, self.recycle(transaction, &slot).await)
        };
        match done {
            Ok(outcome) => {
                self.metrics.took(step, started.elapsed());
                Ok(outcome)
            }
            Err(error) if error.is_away() => Err(error),
            Err(error) => {
                tracing::warn!(slot.id = id, %error, cause = ?error.state(), "an ended slot is tried again later");
                self.retry_later(id).await?;
                Ok(Outcome::Discarded)
            }
        }
    }

    async fn recycle(&self, transaction: Transaction, slot: &Slot) -> Result<Outcome, Error> {
        if !slot.is_current() {
            return self.discard(transaction, slot, "outdated").await;
        }
        if store::target(&transaction, self.pool.target).await? == 0 {
            return self.discard(transaction, slot, "surplus").await;
        }
        let (schema, pooled) = (slot.schema()?, slot.pool_name()?);
        let locked = transaction
            .batch_execute(&format!(
                "{WITHOUT_CHECKS}; SET LOCAL search_path = {}; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
                schema.quoted(),
                modules::table_names().join(", ")
            ))
            .await
            .map_err(Error::from);
        match locked {
            Ok(()) => {}
            Err(error) if error.is_contention() || error.is_away() => return Err(error),
            Err(error) => {
                transaction.rollback().await?;
                tracing::error!(slot.id, %error, "an ended slot is not what was made");
                let transaction = self.database.begin(LOCK_TIMEOUT).await?;
                return self.discard(transaction, slot, "unclean").await;
            }
        }
        let clean = empty(&transaction).await? && imprint::of(&transaction, schema, &slot.role).await? == slot.imprint;
        if !clean {
            tracing::error!(slot.id, "an ended slot is not as clean as it was made");
            return self.discard(transaction, slot, "unclean").await;
        }
        transaction
            .batch_execute(&format!(
                "ALTER SCHEMA {} RENAME TO {};
                 UPDATE provisioner.slots SET state = 'ready', schema_name = '{pooled}', modules = '{{}}', seed = NULL,
                    currency = NULL, furnished_at = NULL, attempts = 0,
                    retry_at = '-infinity', updated_at = now() WHERE id = {}",
                schema.quoted(),
                pooled.quoted(),
                slot.id
            ))
            .await?;
        transaction.commit().await?;
        self.cold.announce();
        self.bare.notify_one();
        Ok(Outcome::Recycled)
    }

    /// Marks the slot as one to be dropped.
    async fn discard(&self, transaction: Transaction, slot: &Slot, why: &'static str) -> Result<Outcome, Error> {
        transaction
            .execute(
                "UPDATE provisioner.slots SET discard = true WHERE id = $1 AND generation = $2 AND state = 'gone'",
                &[&slot.id, &slot.generation],
            )
            .await?;
        transaction.commit().await?;
        self.metrics.emptied(why);
        self.fill.notify_one();
        Ok(Outcome::Discarded)
    }

    /// Backs off: 0.1 s, doubled each time, at most 10 s.
    async fn retry_later(&self, id: i32) -> Result<(), Error> {
        let connection = self.database.connection().await?;
        connection
            .execute(
                "UPDATE provisioner.slots SET attempts = attempts + 1,
                    retry_at = now() + least(interval '10 s', interval '100 ms' * 2 ^ least(attempts, 10))
                 WHERE id = $1 AND state = 'gone'",
                &[&id],
            )
            .await?;
        self.metrics.emptied("retried");
        Ok(())
    }
}

/// The ended slot that has waited longest, locked, and whether it is to be dropped.
async fn pick(transaction: &Transaction) -> Result<Option<(Slot, bool)>, Error> {
    let statement = transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, discard FROM provisioner.slots WHERE state = 'gone' AND retry_at <= now()
             ORDER BY discard, updated_at LIMIT 1 FOR UPDATE SKIP LOCKED"
        ))
        .await?;
    let Some(row) = transaction.query_opt(&statement, &[]).await? else {
        return Ok(None);
    };
    Ok(Some((Slot::of(&row)?, row.get("discard"))))
}

/// Deletes all rows, and looks whether they are gone. Against TRUNCATE it is a hundred times cheaper (1 ms to 200 ms
/// for two modules' demo data) and leaves the catalogues alone: no new files.
async fn empty(transaction: &Transaction) -> Result<bool, Error> {
    let tables = occupied(transaction, modules::table_names().iter().copied()).await?;
    if tables.is_empty() {
        return Ok(true);
    }
    let deletes: Vec<String> = tables.iter().map(|table| format!("DELETE FROM {table}")).collect();
    transaction.batch_execute(&deletes.join("; ")).await?;
    // The others were empty, and nobody can write while the locks are held.
    let left = occupied(transaction, tables.iter().map(String::as_str)).await?;
    Ok(left.is_empty())
}

/// Those of the tables that have rows.
async fn occupied(transaction: &Transaction, tables: impl Iterator<Item = &str>) -> Result<Vec<String>, Error> {
    let probes: Vec<String> = tables
        .map(|table| format!("SELECT '{table}' WHERE EXISTS (SELECT FROM {table})"))
        .collect();
    let messages = transaction.simple_query(&probes.join(" UNION ALL ")).await?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect())
}
