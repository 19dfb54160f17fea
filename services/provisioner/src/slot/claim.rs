//! Giving a session its slot.

use std::{sync::Arc, time::Duration};

use domain::{Currency, RoleName, SchemaName, SessionId};
use futures::join;
use modules::{MODULES, Module};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{error::SqlState, types::ToSql};
use tracing::{Instrument, info_span};

use super::{
    Slots, call,
    furnish::{self, Mark},
    seed,
    store::{COLUMNS, Slot},
};
use crate::{database::Transaction, error::Error, lock, metrics::Step};

/// How often a waiting claim looks for slots that other replicas made ready.
const LOOK: Duration = Duration::from_secs(1);

/// Who moves in.
#[derive(Clone, Debug)]
pub struct Order {
    /// The session.
    pub session: SessionId,
    /// Modules whose demo data it sees, core aside.
    pub modules: Vec<&'static Module>,
    /// For seeded orders.
    pub currency: Currency,
    /// The session's generation as of which it needs a schema.
    pub generation: i64,
}

/// Where a session lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its schema.
    pub schema: SchemaName,
    /// The role that may use it.
    pub role: RoleName,
    /// Whether a pooled slot was used.
    pub warm: bool,
}

impl Slots {
    /// Gives the session a schema with demo data; the same one when it is asked again.
    ///
    /// # Errors
    /// When no slot gets ready in time, or the database is away.
    pub async fn provision(self: &Arc<Self>, order: Order) -> Result<Home, Error> {
        let order = Arc::new(order);
        if let Some(home) = self.attempt(&order).await? {
            self.metrics.provisioned(true);
            return Ok(home);
        }
        let home = timeout(self.pool.patience, self.provision_cold(&order))
            .instrument(info_span!("slot.wait"))
            .await
            .unwrap_or_else(|_| {
                self.metrics.refused();
                Err(Error::Exhausted(self.pool.patience.as_secs()))
            })?;
        self.metrics.provisioned(false);
        Ok(Home { warm: false, ..home })
    }

    /// Takes whichever slot gets ready first: one made for the purpose, a recycled one, one of another replica.
    async fn provision_cold(self: &Arc<Self>, order: &Arc<Order>) -> Result<Home, Error> {
        loop {
            {
                let _waiting = self.cold.wait();
                self.prepare_for_waiting(0);
                tokio::select! {
                    () = self.cold.ready() => {}
                    () = sleep(LOOK) => {}
                }
            }
            if let Some(home) = self.attempt(order).await? {
                // Until now this slot looked like one for the others that wait.
                self.prepare_for_waiting(0);
                return Ok(home);
            }
        }
    }

    async fn attempt(self: &Arc<Self>, order: &Arc<Order>) -> Result<Option<Home>, Error> {
        let (slots, order) = (self.clone(), order.clone());
        self.to_the_end(async move {
            match slots.claim(&order).await {
                // Another slot is worth a try; a second failure is not the slots' fault.
                Err(error) if is_suspicious(&error) => slots.claim(&order).await,
                claimed => claimed,
            }
        })
        .await
    }

    /// Takes a ready slot, renames it and seeds what is missing, in one transaction of two round trips; `None` when the
    /// pool is empty.
    async fn claim(&self, order: &Order) -> Result<Option<Home>, Error> {
        let _call = self.traffic.enter();
        let started = Instant::now();
        let transaction = self.database.lend().await?;
        let take = take(&transaction, order).instrument(call("slot.take"));
        let Some((fit, slot)) = take.await? else {
            transaction.rollback().await?;
            self.fill.notify_one();
            return Ok(None);
        };
        if fit == Fit::Known {
            if slot.session_generation < order.generation {
                keep(&transaction, &slot, order).await?;
            }
            let missing = seed::missing(&slot, &order.modules);
            seed::add(transaction, &slot, order, &missing).await?;
            return Ok(Some(home(slot.schema()?.clone(), slot.role)));
        }
        let moved = self.move_in(transaction, &slot, fit, order).await;
        self.fill.notify_one();
        match moved {
            Ok(schema) => {
                self.metrics.took(Step::Claim, started.elapsed());
                Ok(Some(home(schema, slot.role)))
            }
            Err(error) => {
                self.discard_if_suspicious(&slot, &error).await?;
                Err(error)
            }
        }
    }

    async fn move_in(
        &self,
        mut transaction: Transaction,
        slot: &Slot,
        fit: Fit,
        order: &Order,
    ) -> Result<SchemaName, Error> {
        let schema = SchemaName::of(order.session);
        let modules = seed::with_core(&order.modules);
        let (kept, clear) = match fit {
            Fit::Other => (None, seed::clear(slot)),
            Fit::Furnished | Fit::Known => (slot.seed, String::new()),
        };
        let seed = kept.unwrap_or(order.session);
        let mut missing = if kept.is_some() {
            seed::missing(slot, &modules)
        } else {
            modules.clone()
        };
        missing.retain(|module| module.has_data());
        let (chosen, currency) = (seed::ids(&modules).join(","), order.currency);
        let rename = format!(
            "ALTER SCHEMA {} RENAME TO {};
             UPDATE provisioner.slots SET state = 'claimed', schema_name = '{schema}', session_id = '{}',
                session_generation = {}, modules = '{{{chosen}}}',
                seed = '{seed}', currency = '{currency}', wanted = '{{{chosen}}}', wanted_currency = '{currency}', uses = uses + 1,
                updated_at = now() WHERE id = {}",
            slot.schema()?.quoted(),
            schema.quoted(),
            order.session,
            order.generation,
            slot.id,
        );
        let script = if missing.is_empty() {
            String::new()
        } else {
            let settings = seed::settings(&schema, seed, order.currency);
            let mark = if kept.is_some() { Mark::Further } else { Mark::New };
            format!(
                "{settings} {clear} {} {}",
                modules::seed_sql(&missing),
                furnish::mark(slot.id, mark, &modules)
            )
        };
        let started = Instant::now();
        // One flush. After an error PostgreSQL skips what follows, and COMMIT rolls back.
        let (renamed, seeded, committed) = join!(
            transaction.batch_execute(&rename).instrument(call("slot.rename")),
            transaction.batch_execute(&script).instrument(call("slot.seed")),
            transaction.batch_execute("COMMIT").instrument(call("slot.commit")),
        );
        if committed.is_ok() {
            transaction.closed();
        }
        renamed?;
        seeded?;
        committed?;
        self.metrics.took(Step::Seed, started.elapsed());
        Ok(schema)
    }

    /// Takes a ready slot out of the pool that cannot be used.
    pub(super) async fn discard_if_suspicious(&self, slot: &Slot, error: &Error) -> Result<(), Error> {
        if is_suspicious(error) {
            tracing::error!(slot.id, error = %fault::chain(error), state = ?error.state(), "a ready slot cannot be used: it is discarded");
            self.discard_ready(slot).await?;
        }
        Ok(())
    }

    async fn discard_ready(&self, slot: &Slot) -> Result<(), Error> {
        let connection = self.database.connection().await?;
        connection
            .execute(
                "UPDATE provisioner.slots SET state = 'gone', discard = true, updated_at = now()
                 WHERE id = $1 AND generation = $2 AND state = 'ready'",
                &[&slot.id, &slot.generation],
            )
            .await?;
        self.ended.notify_one();
        Ok(())
    }
}

/// How a slot suits a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It lives there already.
    Known,
    /// Nothing is in it that the session did not choose.
    Furnished,
    /// It must be cleared first.
    Other,
}

/// Begins, waits for other calls about the session, and takes its slot, or else the one of the pool that holds most of
/// what it chose and nothing else. Of equals the slot used last: the connections know its tables best, and slots that
/// are too many come to rest at the other end.
async fn take(transaction: &Transaction, order: &Order) -> Result<Option<(Fit, Slot)>, Error> {
    let statement = transaction
        .prepare_cached(&format!(
            "WITH known AS (
                SELECT true AS known, true AS fits, {COLUMNS} FROM provisioner.slots WHERE session_id = $1 FOR UPDATE
             ), pooled AS (
                SELECT false, modules <@ $3 AND (cardinality(modules) < 2 OR currency = $4) AS fits, {COLUMNS}
                FROM provisioner.slots
                WHERE state = 'ready' AND fingerprint = $2 AND NOT EXISTS (SELECT FROM known)
                ORDER BY fits DESC, cardinality(modules) DESC, updated_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED
             )
             SELECT * FROM known UNION ALL SELECT * FROM pooled"
        ))
        .await?;
    let begin = format!("BEGIN; {}", lock::for_transaction(lock::of(order.session)));
    let (id, fingerprint) = (order.session.uuid(), modules::fingerprint());
    // Modules without demo data are no difference.
    let chosen = seed::with_core(&order.modules);
    let without = MODULES.iter().copied().filter(|module| !module.has_data());
    let chosen = seed::ids(&chosen.into_iter().chain(without).collect::<Vec<_>>());
    let currency = order.currency.as_str();
    let parameters: [&(dyn ToSql + Sync); 4] = [&id, &fingerprint, &chosen, &currency];
    let (begun, taken) = join!(
        transaction.batch_execute(&begin),
        transaction.query_opt(&statement, &parameters)
    );
    begun?;
    let Some(row) = taken? else { return Ok(None) };
    let fit = match (row.get("known"), row.get("fits")) {
        (true, _) => Fit::Known,
        (false, true) => Fit::Furnished,
        (false, false) => Fit::Other,
    };
    Ok(Some((fit, Slot::of(&row)?)))
}

/// What an earlier call for the session claimed counts as claimed for this one: a drop before it must leave it alone.
async fn keep(transaction: &Transaction, slot: &Slot, order: &Order) -> Result<(), Error> {
    transaction
        .execute(
            "UPDATE provisioner.slots SET session_generation = $2 WHERE id = $1",
            &[&slot.id, &order.generation],
        )
        .await?;
    Ok(())
}

/// Whether the slot may be to blame: it is not what its record says. A schema of that name that exists already is
/// somebody else's doing.
fn is_suspicious(error: &Error) -> bool {
    let duplicate = error.state() == Some(&SqlState::DUPLICATE_SCHEMA);
    error.state().is_some() && !duplicate && !error.is_away() && !error.is_contention()
}

fn home(schema: SchemaName, role: RoleName) -> Home {
    Home {
        schema,
        role,
        warm: true,
    }
}
