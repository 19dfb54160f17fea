//! Emptying ended slots so that they can be used again.
//!
//! Demo data that the session left as it was stays: all rows of the slot are those that were put in as demo data, and
//! not one of them is missing. Otherwise all rows go, and new demo data is put in at once.
//!
//! Why no row of the old session can appear in, or be read from, the slot afterwards: the schema was renamed when the
//! session ended, and the rename is committed. A request of the old session that began before may still be running.
//! It names tables by a search_path whose schema no longer exists, so it can only reach those tables that it has
//! locked already: taking a lock it does not hold makes a backend see the rename and look the name up again, in
//! vain. The locks below conflict with every lock on the tables, so they are granted only when no such request is
//! left; and whoever waits behind them looks its names up anew when it gets its turn. Readers count as much as
//! writers: a statement under an old lock would read the next visitor's rows.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_postgres::{Row, SimpleQueryMessage};
use tracing::{Instrument, info_span};

use super::{
    Rest, Slots, WITHOUT_CHECKS, furnish, imprint,
    store::{self, COLUMNS, Slot},
};
use crate::{
    database::{Database, Transaction, WORKERS},
    error::Error,
    metrics::Step,
};

/// The slots that a worker's connection may remember, at 2 MB each.
const MOST_MET: usize = 250;
/// How long a slot waits for the worker whose share it is.
const OWN: Duration = Duration::from_secs(10);
/// How long to queue for a lock. Requests that come later queue behind, and a deadlock is noticed after 1 s only.
pub const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '250ms'";
/// How long calls may hold up the background.
const LULL: Duration = Duration::from_millis(25);
/// What waits for a lock is no work.
const LONGEST_WORK: Duration = Duration::from_millis(50);
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

/// One of those who empty slots. A backend is three times as quick with a slot that it has met before, so each has
/// slots of its own.
pub struct Worker {
    number: usize,
    database: Database,
    met: HashSet<i32>,
}

impl Worker {
    /// The worker of this number; it connects when it has something to do.
    pub fn new(number: usize, database: &Database) -> Self {
        Self {
            number,
            database: database.of_worker(number),
            met: HashSet::new(),
        }
    }

    /// Forgets all slots when they are too many.
    fn meet(&mut self, id: i32) {
        self.met.insert(id);
        if self.met.len() > MOST_MET {
            self.met.clear();
            self.database.renew();
        }
    }
}

/// An ended slot that is locked.
struct Ended {
    slot: Slot,
    /// It is not to be used again.
    discard: bool,
    /// Its demo data when it was put in, unless that is old.
    furnished: Option<Furnished>,
}

/// What tells untouched demo data.
struct Furnished {
    xids: Vec<i64>,
    rows: i64,
}

impl Slots {
    /// Empties ended slots, each replica its share.
    pub(super) async fn keep_emptying(self: Arc<Self>, mut worker: Worker) {
        let mut rest = Rest::new();
        let mut worked = false;
        while !self.lifecycle.is_stopping() {
            if self.ease() > 0 {
                self.traffic.lull(LULL).await;
            }
            let started = Instant::now();
            let done = self.empty_one(&mut worker).instrument(info_span!("slot.empty")).await;
            if done.is_ok() {
                rest = Rest::new();
            }
            match done {
                Ok(Outcome::Recycled) => {
                    worked = true;
                    self.metrics.emptied("recycled");
                    self.make_way(started.elapsed()).await;
                }
                Ok(Outcome::Discarded) => self.make_way(started.elapsed()).await,
                Ok(Outcome::Idle) => {
                    if mem::take(&mut worked) {
                        // Filling waited for these slots.
                        self.fill.notify_one();
                    }
                    tokio::select! {
                        _ = timeout(TICK, self.ended.notified()) => {}
                        () = self.lifecycle.clone().stopping() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(error = %fault::chain(&error), "an ended slot cannot be emptied");
                    self.pause(rest.next()).await;
                }
            }
        }
    }

    /// How many times as long as it worked emptying rests; not at all when there is need: an ended slot is the quickest
    /// help for a claim that waits, and for those that soon would.
    fn ease(&self) -> u32 {
        if self.cold.is_wanted() {
            0
        } else {
            self.ease.load(Ordering::Relaxed)
        }
    }

    async fn make_way(&self, worked: Duration) {
        self.pause(worked.min(LONGEST_WORK) * self.ease()).await;
    }

    /// Does one piece of work on the slot that has waited longest: recycles it, or drops some of its tables.
    async fn empty_one(&self, worker: &mut Worker) -> Result<Outcome, Error> {
        let transaction = worker.database.begin(LOCK_TIMEOUT).await?;
        let Some(ended) = self.pick(&transaction, worker.number).await? else {
            transaction.rollback().await?;
            return Ok(Outcome::Idle);
        };
        // Another may be waiting: this worker has its hands full.
        self.ended.notify_one();
        let (id, started) = (ended.slot.id, Instant::now());
        let (step, done) = if ended.discard {
            let dropped = self.drop_some(transaction, &ended.slot).await;
            (Step::Drop, dropped.map(|()| Outcome::Discarded))
        } else {
            (Step::Recycle, self.recycle(transaction, &ended, worker).await)
        };
        worker.meet(id);
        match done {
            Ok(outcome) => {
                self.metrics.took(step, started.elapsed());
                Ok(outcome)
            }
            Err(error) if error.is_away() => Err(error),
            Err(error) => {
                tracing::warn!(slot.id = id, error = %fault::chain(&error), state = ?error.state(), "an ended slot is tried again later");
                self.retry_later(id).await?;
                Ok(Outcome::Discarded)
            }
        }
    }

    async fn recycle(&self, transaction: Transaction, ended: &Ended, worker: &Worker) -> Result<Outcome, Error> {
        let slot = &ended.slot;
        if !slot.is_current() {
            return self.discard(transaction, slot, "outdated").await;
        }
        if store::target(&transaction, self.pool.target).await? == 0 {
            return self.discard(transaction, slot, "surplus").await;
        }
        match lock_tables(&transaction, slot).await {
            Ok(()) => {}
            Err(error) if error.is_away() => return Err(error),
            Err(error) if error.is_contention() => {
                // Closing the connection would lose what it knows of its slots.
                transaction.rollback().await?;
                return Err(error);
            }
            Err(error) => {
                transaction.rollback().await?;
                tracing::error!(slot.id, error = %fault::chain(&error), "an ended slot is not what was made");
                let transaction = worker.database.begin(LOCK_TIMEOUT).await?;
                return self.discard(transaction, slot, "unclean").await;
            }
        }
        let used = used(&transaction).await?;
        let kept = is_untouched(&transaction, ended, &used).await?;
        let clean = (kept || empty(&transaction, &used).await?)
            && imprint::of(&transaction, slot.schema()?, &slot.role).await? == slot.imprint;
        if !clean {
            tracing::error!(slot.id, "an ended slot is not as clean as it was made");
            return self.discard(transaction, slot, "unclean").await;
        }
        self.put_back(transaction, slot, kept).await?;
        self.cold.announce();
        self.bare.notify_one();
        Ok(Outcome::Recycled)
    }

    /// Puts the slot back in the pool with, if it is empty now, the demo data that the next session is likely to choose:
    /// this backend knows its tables best. A claim that waits would rather choose for itself.
    async fn put_back(&self, mut transaction: Transaction, slot: &Slot, kept: bool) -> Result<(), Error> {
        let content = if kept {
            ""
        } else {
            ", modules = '{}', seed = NULL, currency = NULL, furnished_at = NULL, furnished_xids = '{}', furnished_rows = NULL"
        };
        let mut script = format!(
            "UPDATE provisioner.slots SET state = 'ready', attempts = 0, retry_at = '-infinity', updated_at = now() {content}
             WHERE id = {};",
            slot.id
        );
        if !kept && !self.pool.fresh.is_zero() && !self.cold.is_wanted() {
            let guess = furnish::guess(&transaction).await?;
            script.push_str(&furnish::script(slot.id, slot.schema()?, &guess, ""));
        }
        transaction.batch_execute(&format!("{script} COMMIT")).await?;
        transaction.closed();
        Ok(())
    }

    /// The ended slot that has waited longest, locked.
    async fn pick(&self, transaction: &Transaction, worker: usize) -> Result<Option<Ended>, Error> {
        let statement = transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, discard, furnished_xids, furnished_rows,
                    furnished_at > now() - make_interval(secs => $3) AS is_fresh
                 FROM provisioner.slots WHERE state = 'gone' AND retry_at <= now()
                    AND (id % {WORKERS} = $1 OR discard OR updated_at < now() - make_interval(secs => $2))
                 ORDER BY discard, updated_at LIMIT 1 FOR UPDATE SKIP LOCKED"
            ))
            .await?;
        let number = i32::try_from(worker).unwrap_or(0);
        let row = transaction
            .query_opt(
                &statement,
                &[&number, &OWN.as_secs_f64(), &self.pool.fresh.as_secs_f64()],
            )
            .await?;
        row.as_ref().map(Ended::of).transpose()
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

impl Ended {
    fn of(row: &Row) -> Result<Self, Error> {
        let is_fresh = row.get::<_, Option<bool>>("is_fresh") == Some(true);
        let rows: Option<i64> = row.get("furnished_rows");
        let xids = row.get("furnished_xids");
        Ok(Self {
            slot: Slot::of(row)?,
            discard: row.get("discard"),
            furnished: rows.filter(|_| is_fresh).map(|rows| Furnished { xids, rows }),
        })
    }
}

/// Waits until nobody uses any of the tables, and keeps all out.
async fn lock_tables(transaction: &Transaction, slot: &Slot) -> Result<(), Error> {
    transaction
        .batch_execute(&format!(
            "{WITHOUT_CHECKS}; SET LOCAL search_path = {}; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
            slot.schema()?.quoted(),
            modules::table_names().join(", ")
        ))
        .await?;
    Ok(())
}

/// Whether the rows of all tables are those that the slot was furnished with. A row that was changed or added is of
/// another transaction; one that was deleted is missing.
async fn is_untouched(transaction: &Transaction, ended: &Ended, used: &[String]) -> Result<bool, Error> {
    let Some(Furnished { xids, rows }) = &ended.furnished else {
        return Ok(false);
    };
    let xids: Vec<String> = xids.iter().map(|xid| format!("'{xid}'::xid8::xid")).collect();
    let own = format!("xmin IN ({})", xids.join(", "));
    let counts: Vec<String> = used
        .iter()
        .map(|table| format!("SELECT count(*) AS present, count(*) FILTER (WHERE {own}) AS own FROM {table}"))
        .collect();
    if counts.is_empty() {
        return Ok(false);
    }
    let question = format!(
        "SELECT FROM ({}) AS tables HAVING sum(present) = {rows} AND sum(own) = {rows}",
        counts.join(" UNION ALL ")
    );
    let answer = transaction.simple_query(&question).await?;
    Ok(answer
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(_))))
}

/// The tables that have, or had, rows: the others have no page. Looking at the rows of all takes five times as long.
async fn used(transaction: &Transaction) -> Result<Vec<String>, Error> {
    let statement = transaction
        .prepare_cached("SELECT name FROM unnest($1::text[]) AS name WHERE pg_relation_size(name::regclass) > 0")
        .await?;
    let rows = transaction.query(&statement, &[&modules::table_names()]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Deletes all rows, and looks whether they are gone. Against TRUNCATE it is a hundred times cheaper (1 ms to 200 ms
/// for two modules' demo data) and leaves the catalogues alone: no new files.
async fn empty(transaction: &Transaction, used: &[String]) -> Result<bool, Error> {
    if used.is_empty() {
        return Ok(true);
    }
    let deletes: Vec<String> = used.iter().map(|table| format!("DELETE FROM {table}")).collect();
    transaction.batch_execute(&deletes.join("; ")).await?;
    // The others were empty, and nobody can write while the locks are held.
    let probes: Vec<String> = used
        .iter()
        .map(|table| format!("SELECT WHERE EXISTS (SELECT FROM {table})"))
        .collect();
    let left = transaction.simple_query(&probes.join(" UNION ALL ")).await?;
    Ok(!left.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))))
}
