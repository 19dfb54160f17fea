//! How much room schemas take.

use std::collections::HashMap;

use super::{
    Slots,
    store::{Selection, Slot, State},
};
use crate::error::Error;

/// Sizes wait for locks of tables; an operator's question waits no longer than this, and visitors not for it.
const IMPATIENT: &str = "SET LOCAL lock_timeout = '250ms'; SET LOCAL statement_timeout = '5s'";

/// Bytes of schemas by name.
type Sizes = HashMap<String, i64>;

impl Slots {
    /// Slots with what is measured of them.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn survey(&self, selection: &Selection) -> Result<Vec<(Slot, Option<i64>)>, Error> {
        let slots = self.list(selection).await?;
        // What is made, emptied or dropped has locks on its tables.
        let settled = slots
            .iter()
            .filter(|slot| matches!(slot.state, State::Ready | State::Claimed));
        let schemas: Vec<String> = settled
            .filter_map(|slot| slot.schema.as_ref().map(ToString::to_string))
            .collect();
        let sizes = match self.measure(&schemas).await {
            Err(error) if error.is_contention() => {
                tracing::info!(error = %fault::chain(&error), "schemas cannot be measured just now");
                Sizes::new()
            }
            sizes => sizes?,
        };
        let with_size = |slot: Slot| {
            let size = slot
                .schema
                .as_ref()
                .and_then(|schema| sizes.get(schema.as_str()).copied());
            (slot, size)
        };
        Ok(slots.into_iter().map(with_size).collect())
    }

    async fn measure(&self, schemas: &[String]) -> Result<Sizes, Error> {
        let transaction = self.database.begin(IMPATIENT).await?;
        let rows = transaction
            .query(
                "SELECT nspname::text, sum(pg_total_relation_size(c.oid))::bigint
                 FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON relnamespace = n.oid
                 WHERE nspname = ANY ($1) AND relkind IN ('r', 'm') GROUP BY 1",
                &[&schemas],
            )
            .await?;
        transaction.rollback().await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
