//! The end of a session: its schema's name is gone when the call answers, the rest is done later.

use std::sync::Arc;

use domain::SessionId;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tracing::Instrument;

use super::{Slots, call, seed};
use crate::{error::Error, lock, metrics::Step};

impl Slots {
    /// Takes the session's schema away, with `before` only one that was claimed for an earlier generation of the session;
    /// `false` when it has none. A claim for the same session that is under way is waited for and undone.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn release(self: &Arc<Self>, session: SessionId, before: Option<i64>) -> Result<bool, Error> {
        let slots = self.clone();
        self.to_the_end(async move {
            let _call = slots.traffic.enter();
            let started = Instant::now();
            let existed = slots.rename_away(session, before).await?;
            slots.metrics.took(Step::Release, started.elapsed());
            slots.ended.notify_one();
            Ok(existed)
        })
        .await
    }

    async fn rename_away(&self, session: SessionId, before: Option<i64>) -> Result<bool, Error> {
        let transaction = self.database.begin(&lock::for_transaction(lock::of(session))).await?;
        let found = seed::find(&transaction, session).await?;
        let Some(slot) = found.filter(|slot| before.is_none_or(|before| slot.session_generation < before)) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let pooled = slot.pool_name()?;
        let renamed = transaction
            .batch_execute(&format!(
                "ALTER SCHEMA {} RENAME TO {};
                 UPDATE provisioner.slots SET state = 'gone', session_id = NULL, session_generation = 0, schema_name = '{pooled}',
                    updated_at = now() WHERE id = {};
                 COMMIT",
                slot.schema()?.quoted(),
                pooled.quoted(),
                slot.id
            ))
            .instrument(call("slot.release"))
            .await
            .map_err(Error::from);
        match renamed {
            Ok(()) => {
                let mut transaction = transaction;
                transaction.closed();
                Ok(true)
            }
            Err(error) if error.state() == Some(&SqlState::INVALID_SCHEMA_NAME) => {
                transaction.rollback().await?;
                tracing::error!(slot.id, "the schema of a session was gone already");
                self.forget_missing().await?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}
