//! Dropping slots for good: ten tables at a time, then the schema.
//!
//! One `DROP SCHEMA … CASCADE` holds about 1,100 locks to its end; a few at once use up what PostgreSQL's defaults
//! give to all connections together. Ten tables hold fewer than 200. Each batch is a transaction of its own that
//! finds out afresh what is left, so that dropping goes on wherever it was cut off.

use super::{Slots, store::Slot};
use crate::{database::Transaction, error::Error};

/// Tables per transaction.
const BATCH: i64 = 10;

impl Slots {
    /// Drops the next ten tables, or the schema when none is left; then the slot is empty.
    pub(super) async fn drop_some(&self, transaction: Transaction, slot: &Slot) -> Result<(), Error> {
        let schema = slot.schema()?;
        // Foreign tables first, since they may refer to ours; ours from the leaves.
        let batch = transaction
            .query(
                "SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
                    CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                        ELSE 'TABLE' END, nspname, relname)
                 FROM pg_catalog.pg_namespace n
                 JOIN pg_catalog.pg_depend ON refclassid = 'pg_catalog.pg_namespace'::regclass AND refobjid = n.oid
                 JOIN pg_catalog.pg_class c ON classid = 'pg_catalog.pg_class'::regclass AND objid = c.oid
                 WHERE nspname = $1 AND relkind IN ('r', 'p', 'f', 'v', 'm')
                 ORDER BY array_position($2::text[], relname::text) DESC NULLS FIRST LIMIT $3",
                &[&schema.as_str(), &modules::table_names(), &BATCH],
            )
            .await?;
        let last = batch.len() < usize::try_from(BATCH).unwrap_or(0);
        let mut script: Vec<String> = batch.iter().map(|row| row.get(0)).collect();
        if last {
            script.push(format!("DROP SCHEMA IF EXISTS {} CASCADE", schema.quoted()));
            script.push(format!(
                "UPDATE provisioner.slots SET state = 'empty', schema_name = NULL, fingerprint = NULL, imprint = NULL,
                    modules = '{{}}', discard = false, attempts = 0, retry_at = '-infinity', updated_at = now()
                 WHERE id = {}",
                slot.id
            ));
        }
        transaction.batch_execute(&script.join("; ")).await?;
        transaction.commit().await?;
        if last {
            self.metrics.emptied("dropped");
            self.fill.notify_one();
        }
        Ok(())
    }
}
