//! Demo data: of chosen modules when a session moves in, of further ones when it meets them.

use std::sync::Arc;

use domain::{Currency, SchemaName, SessionId};
use modules::{CORE, MODULES, Module};
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Order, Slots, WITHOUT_CHECKS, call,
    store::{COLUMNS, Slot},
};
use crate::{database::Transaction, error::Error, lock, metrics::Step};

impl Slots {
    /// Seeds modules that the session meets for the first time; those it knows are left alone. Returns the seeded.
    ///
    /// # Errors
    /// [`Error::NoSchema`] when the session has none; when the database is away.
    pub async fn seed(self: &Arc<Self>, order: Order) -> Result<Vec<&'static str>, Error> {
        let slots = self.clone();
        self.to_the_end(async move {
            let _call = slots.traffic.enter();
            let started = Instant::now();
            let transaction = slots
                .database
                .begin(&lock::for_transaction(lock::of(order.session)))
                .await?;
            let Some(slot) = find(&transaction, order.session).await? else {
                transaction.rollback().await?;
                return Err(Error::NoSchema);
            };
            let missing = missing(&slot, &order.modules);
            add(transaction, &slot, &order, &missing).await?;
            slots.metrics.took(Step::Seed, started.elapsed());
            Ok(ids(&missing))
        })
        .await
    }
}

/// The session's slot, locked.
pub async fn find(transaction: &Transaction, session: SessionId) -> Result<Option<Slot>, Error> {
    let statement = transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM provisioner.slots WHERE session_id = $1 FOR UPDATE"
        ))
        .await?;
    let row = transaction.query_opt(&statement, &[&session.uuid()]).await?;
    row.as_ref().map(Slot::of).transpose()
}

/// Seeds modules into a schema that is lived in, and ends the transaction.
pub async fn add(
    transaction: Transaction,
    slot: &Slot,
    order: &Order,
    missing: &[&'static Module],
) -> Result<(), Error> {
    if missing.is_empty() {
        return transaction.commit().await;
    }
    let schema = slot.schema()?;
    let settings = settings(schema, slot.seed.unwrap_or(order.session), order.currency);
    transaction
        .batch_execute(&format!("{settings} {}", modules::seed_sql(missing)))
        .instrument(call("slot.seed"))
        .await?;
    transaction
        .execute(
            "UPDATE provisioner.slots SET modules = modules || $2 WHERE id = $1",
            &[&slot.id, &ids(missing)],
        )
        .await?;
    transaction.commit().await
}

/// What must stand in the transaction before a seed runs. `seed` is what the ids are made from.
pub fn settings(schema: &SchemaName, seed: SessionId, currency: Currency) -> String {
    format!(
        "SET LOCAL search_path = {}; SET LOCAL livepreview.seed = '{seed}'; SET LOCAL livepreview.currency = '{currency}';
         {WITHOUT_CHECKS};",
        schema.quoted(),
    )
}

/// What takes the demo data out of a slot that nobody has lived in since it was furnished.
pub fn clear(slot: &Slot) -> String {
    let furnished = MODULES
        .iter()
        .filter(|module| module.has_data() && slot.modules.iter().any(|known| known == module.id));
    furnished
        .flat_map(|module| module.table_names())
        .map(|table| format!("DELETE FROM {table};"))
        .collect()
}

/// The chosen modules that the slot has no demo data of, in order.
pub fn missing(slot: &Slot, chosen: &[&'static Module]) -> Vec<&'static Module> {
    with_core(chosen)
        .into_iter()
        .filter(|module| !slot.modules.iter().any(|known| known == module.id))
        .collect()
}

/// Core and the chosen modules, each once, in the order of their tables.
pub fn with_core(chosen: &[&'static Module]) -> Vec<&'static Module> {
    MODULES
        .iter()
        .copied()
        .filter(|module| module.id == CORE.id || chosen.iter().any(|other| other.id == module.id))
        .collect()
}

/// Their names.
pub fn ids(modules: &[&'static Module]) -> Vec<&'static str> {
    modules.iter().map(|module| module.id).collect()
}
