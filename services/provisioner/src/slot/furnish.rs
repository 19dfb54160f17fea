//! Demo data put into ready slots before anybody asks for them, so that a claim only renames.
//!
//! Each slot is furnished for what one of the last sessions chose, drawn at random: the pool then holds the mixes of
//! modules in the shares in which they are wanted. What none of them could have used is replaced. A claim adds what its
//! session chose besides, and clears a slot that holds what it did not choose. Demo data tells of "5 hours ago", so it
//! is renewed before it is old.

use std::{sync::Arc, time::Duration};

use domain::{Clock, Currency, SchemaName, SessionId};
use modules::Module;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, info_span};

use super::{
    Rest, Slots, call, seed,
    store::{COLUMNS, Slot},
};
use crate::{database::Transaction, error::Error, metrics::Step};

/// How long calls may hold it up.
const LULL: Duration = Duration::from_millis(25);
/// How long the pool is left alone when nobody tells of a slot without demo data.
const TICK: Duration = Duration::from_secs(5);
/// The rest while claims wait.
const MAKE_WAY: Duration = Duration::from_millis(500);
/// The last sessions' choices, which tell what the next will choose.
const LAST: &str = "SELECT wanted, wanted_currency FROM provisioner.slots WHERE wanted IS NOT NULL
    ORDER BY updated_at DESC LIMIT 32";

/// What the next session is likely to choose.
pub struct Guess {
    modules: Vec<&'static Module>,
    currency: Currency,
}

impl Slots {
    /// Furnishes ready slots, one after another, whenever calls leave time for it.
    pub(super) async fn keep_furnishing(self: Arc<Self>) {
        let mut rest = Rest::new();
        while !self.lifecycle.is_stopping() {
            self.traffic.lull(LULL).await;
            if self.cold.is_wanted() {
                // A slot that is being furnished cannot be claimed.
                self.pause(MAKE_WAY).await;
                continue;
            }
            match self.furnish_one().instrument(info_span!("slot.furnish")).await {
                Ok(true) => rest = Rest::new(),
                Ok(false) => {
                    rest = Rest::new();
                    tokio::select! {
                        _ = timeout(TICK, self.bare.notified()) => {}
                        () = self.lifecycle.clone().stopping() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(error = %fault::chain(&error), "a slot cannot be furnished");
                    self.pause(rest.next()).await;
                }
            }
        }
    }

    /// Furnishes the slot that needs it most; `false` when none does.
    async fn furnish_one(&self) -> Result<bool, Error> {
        let started = Instant::now();
        let transaction = self.database.begin("").await?;
        let guess = guess(&transaction).await?;
        let Some(slot) = pick(&transaction, self.pool.fresh, &guess).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if let Err(error) = fill(transaction, &slot, &guess).await {
            self.discard_if_suspicious(&slot, &error).await?;
            return Err(error);
        }
        self.metrics.took(Step::Furnish, started.elapsed());
        // A claim that came meanwhile passed this slot over.
        self.cold.announce();
        Ok(true)
    }
}

/// What one of the last sessions chose; core alone when there was none.
pub async fn guess(transaction: &Transaction) -> Result<Guess, Error> {
    let statement = transaction
        .prepare_cached(&format!(
            "SELECT wanted, wanted_currency FROM ({LAST}) AS last ORDER BY random() LIMIT 1"
        ))
        .await?;
    let row = transaction.query_opt(&statement, &[]).await?;
    let chosen: Vec<&Module> = row
        .iter()
        .flat_map(|row| row.get::<_, Vec<String>>(0))
        .filter_map(|id| modules::module(&id))
        .collect();
    let currency = row.and_then(|row| row.get::<_, Option<&str>>(1)?.parse().ok());
    Ok(Guess {
        modules: seed::with_core(&chosen),
        currency: currency.unwrap_or_default(),
    })
}

/// A ready slot without demo data, with old demo data, with some that none of the last sessions could have used, or with
/// core's alone while more is likely; locked.
async fn pick(transaction: &Transaction, fresh: Duration, guess: &Guess) -> Result<Option<Slot>, Error> {
    let statement = transaction
        .prepare_cached(&format!(
            "WITH last AS MATERIALIZED ({LAST})
             SELECT {COLUMNS} FROM provisioner.slots WHERE state = 'ready' AND fingerprint = $1 AND (
                furnished_at IS NULL OR furnished_at < now() - make_interval(secs => $2)
                OR CASE WHEN cardinality(modules) = 1 THEN $3 ELSE NOT EXISTS (
                    SELECT FROM last WHERE modules <@ wanted AND currency = wanted_currency) END)
             ORDER BY furnished_at NULLS FIRST, updated_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED"
        ))
        .await?;
    let is_more_likely = guess.modules.len() > 1;
    let row = transaction
        .query_opt(
            &statement,
            &[&modules::fingerprint(), &fresh.as_secs_f64(), &is_more_likely],
        )
        .await?;
    row.as_ref().map(Slot::of).transpose()
}

async fn fill(mut transaction: Transaction, slot: &Slot, guess: &Guess) -> Result<(), Error> {
    let script = script(slot.id, slot.schema()?, guess, &seed::clear(slot));
    transaction
        .batch_execute(&format!("{script} COMMIT"))
        .instrument(call("slot.furnish"))
        .await?;
    transaction.closed();
    Ok(())
}

/// What furnishes a slot after `clear` has emptied it.
pub fn script(id: i32, schema: &SchemaName, guess: &Guess, clear: &str) -> String {
    let seed = SessionId::new(Clock::system().now());
    format!(
        "UPDATE provisioner.slots SET modules = '{{{}}}', seed = '{seed}', currency = '{}' WHERE id = {id};
         {} {clear} {} {}",
        seed::ids(&guess.modules).join(","),
        guess.currency,
        seed::settings(schema, seed, guess.currency),
        modules::seed_sql(&guess.modules),
        mark(id, Mark::New, &guess.modules),
    )
}

/// What else is in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    New,
    /// Demo data that was marked before.
    Further,
}

/// Records by what demo data can be told that nobody has touched, at the end of the transaction that put it in. Nobody
/// must have lived in the slot before: a row that is missing now is not missed later.
pub fn mark(id: i32, mark: Mark, modules: &[&Module]) -> String {
    let (at, xids) = match mark {
        Mark::New => ("now()", "'{}'::bigint[]"),
        Mark::Further => ("furnished_at", "furnished_xids"),
    };
    let counts: Vec<String> = modules
        .iter()
        .filter(|module| module.has_data())
        .flat_map(|module| module.table_names())
        .map(|table| format!("SELECT count(*) FROM {table}"))
        .collect();
    format!(
        "UPDATE provisioner.slots SET furnished_at = {at}, furnished_xids = {xids} || pg_current_xact_id()::text::bigint,
            furnished_rows = (SELECT sum(count) FROM ({}) AS tables) WHERE id = {id};",
        counts.join(" UNION ALL "),
    )
}
