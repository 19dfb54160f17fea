//! Making the world match the records again, whoever died over what. Only what the records own is ever touched.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{Instrument, info_span};

use super::{Slots, store};
use crate::{database::Transaction, error::Error, lock, metrics::Step};

/// Longer than anybody takes from reserving a slot to holding the lock on its row.
const GRACE: &str = "interval '15 s'";

/// What was found wrong, and set right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Slots whose preparation was cut off.
    pub abandoned: u64,
    /// Records whose schema is missing.
    pub missing: u64,
    /// Ready slots of other DDL.
    pub outdated: u64,
    /// Ready slots beyond the target that nobody used for long.
    pub surplus: u64,
}

impl Slots {
    /// Reconciles at once and then at every interval.
    pub(super) async fn keep_reconciling(self: Arc<Self>) {
        while !self.lifecycle.is_stopping() {
            match self.reconcile().instrument(info_span!("slot.reconcile")).await {
                Ok(repairs) if repairs != Repairs::default() => tracing::info!(?repairs, "reconciled"),
                Ok(_) => {}
                Err(error) => tracing::error!(error = %fault::chain(&error), "cannot reconcile"),
            }
            self.database.retire();
            self.pause(self.pool.reconcile).await;
        }
    }

    /// Compares the world with the records once. One replica at a time does it; the others find nothing to do.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn reconcile(&self) -> Result<Repairs, Error> {
        let started = Instant::now();
        let (mut repairs, fingerprint) = (Repairs::default(), modules::fingerprint());
        store::still_runs(&*self.database.connection().await?, fingerprint).await?;
        let transaction = self.database.begin("").await?;
        let alone = transaction
            .query_one(&format!("SELECT {}", lock::try_for_transaction(lock::RECONCILE)), &[])
            .await?;
        if alone.get(0) {
            repairs.abandoned = transaction.execute(&abandoned(), &[]).await?;
            repairs.missing = forget_missing(&transaction).await?;
            if store::is_present(&transaction, fingerprint, self.recent()).await? {
                repairs.outdated = transaction.execute(OUTDATED, &[&fingerprint]).await?;
                let target = store::target(&transaction, self.pool.target).await?;
                repairs.surplus = store::discard_surplus(&transaction, target, self.pool.surplus).await?;
            }
        }
        transaction.commit().await?;
        for (kind, count) in [
            ("abandoned", repairs.abandoned),
            ("missing", repairs.missing),
            ("outdated", repairs.outdated),
            ("surplus", repairs.surplus),
        ] {
            self.metrics.repaired(kind, count);
        }
        if repairs != Repairs::default() {
            self.ended.notify_one();
            self.fill.notify_one();
        }
        self.metrics.took(Step::Reconcile, started.elapsed());
        Ok(repairs)
    }

    /// Within which a program that runs was seen: each of its replicas tells at every interval.
    pub(super) fn recent(&self) -> Duration {
        self.pool.reconcile * 3
    }

    /// Empties records whose schema somebody dropped behind our back. A session that lived there has no schema any
    /// more, which the orchestrator sees.
    pub(super) async fn forget_missing(&self) -> Result<(), Error> {
        let transaction = self.database.begin("").await?;
        let forgotten = forget_missing(&transaction).await?;
        transaction.commit().await?;
        self.metrics.repaired("missing", forgotten);
        Ok(())
    }
}

/// The schema of a preparation appears when it is complete, so an abandoned one has none. Who is at work holds the
/// lock on the row.
fn abandoned() -> String {
    format!(
        "UPDATE provisioner.slots SET state = 'empty', schema_name = NULL, fingerprint = NULL, updated_at = now()
         WHERE state = 'preparing' AND id IN (
            SELECT id FROM provisioner.slots WHERE state = 'preparing' AND updated_at < now() - {GRACE}
            FOR UPDATE SKIP LOCKED)"
    )
}

const MISSING: &str = "
    SELECT id FROM provisioner.slots s WHERE state IN ('ready', 'claimed', 'gone')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = s.schema_name)";

const FORGET: &str = "
    UPDATE provisioner.slots s SET state = 'empty', schema_name = NULL, session_id = NULL, session_generation = 0,
        fingerprint = NULL, imprint = NULL, modules = '{}', discard = false, attempts = 0, retry_at = '-infinity', updated_at = now()
    WHERE id = ANY ($1) AND state IN ('ready', 'claimed', 'gone')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = s.schema_name)";

/// Two steps after the search: the names must be compared in a snapshot taken after the rows were locked, or a
/// session that has just moved in would look like a record without a schema.
async fn forget_missing(transaction: &Transaction) -> Result<u64, Error> {
    let rows = transaction.query(MISSING, &[]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let suspects: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    transaction
        .execute(
            "SELECT FROM provisioner.slots WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
            &[&suspects],
        )
        .await?;
    Ok(transaction.execute(FORGET, &[&suspects]).await?)
}

const OUTDATED: &str = "
    UPDATE provisioner.slots SET state = 'gone', discard = true, updated_at = now()
    WHERE state = 'ready' AND id IN (
        SELECT id FROM provisioner.slots WHERE state = 'ready' AND fingerprint <> $1 FOR UPDATE SKIP LOCKED)";
