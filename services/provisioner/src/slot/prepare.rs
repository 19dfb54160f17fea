//! Making slots: roles in batches, then a schema with all tables.

use std::{sync::Arc, time::Duration};

use domain::RoleName;
use modules::MODULES;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, info_span};

use super::{
    Slots, imprint,
    store::{self, COLUMNS, Slot},
};
use crate::{database::Transaction, error::Error, lock, metrics::Step};

/// Roles made at once. Each GRANT makes the next SET ROLE of every connection look up all memberships again.
const BATCH: i32 = 64;
/// What pauses at most for calls, between two modules' tables.
const LULL: Duration = Duration::from_millis(500);

/// How much a preparation is in a hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Somebody waits, or soon will: the pool is less than a quarter full.
    Brisk,
    /// Makes way for calls and rests as long as it works.
    Gentle,
}

/// How many slots there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many in the pool.
    Pool(u32),
    /// One for each claim that waits.
    Claims,
}

impl Slots {
    /// Makes a slot beside the claim that waits for it, if fewer are on their way than wanted.
    pub(super) fn prepare_for_waiting(self: &Arc<Self>, woken: usize) {
        let Some(build) = self.cold.build_for_waiting(woken) else {
            return;
        };
        let slots = self.clone();
        let task = async move {
            let made = slots.prepare(Want::Claims, Pace::Brisk).await;
            drop(build);
            match made {
                Ok(true) => slots.prepare_for_waiting(1),
                Ok(false) => {}
                Err(error) => tracing::error!(error = %fault::chain(&error), "a slot cannot be made"),
            }
        };
        self.lifecycle.spawn(task.instrument(info_span!("slot.prepare")));
    }

    /// Makes one slot and tells that it is ready; `false` when there are as many as wanted already.
    pub(super) async fn prepare(&self, want: Want, pace: Pace) -> Result<bool, Error> {
        let started = Instant::now();
        let Some(slot) = self.reserve(want).await? else {
            return Ok(false);
        };
        if let Err(error) = self.build(&slot, pace).await {
            self.give_back(&slot).await?;
            return Err(error);
        }
        self.metrics.took(Step::Prepare, started.elapsed());
        self.cold.announce();
        self.bare.notify_one();
        Ok(true)
    }

    /// Takes an empty slot, recorded as preparing. One replica at a time decides, so that the number holds. Ended
    /// slots count: emptying one takes a fraction of the time. While some wait to be emptied, making another would
    /// only take the time away that they need.
    async fn reserve(&self, want: Want) -> Result<Option<Slot>, Error> {
        let transaction = self.database.begin(&lock::for_transaction(lock::PREPARE)).await?;
        let row = transaction
            .query_one(
                "SELECT count(*) FILTER (WHERE state IN ('ready', 'preparing')),
                    count(*) FILTER (WHERE state = 'gone'), count(*) FILTER (WHERE state = 'gone' AND attempts = 0)
                 FROM provisioner.slots WHERE fingerprint = $1 AND NOT discard",
                &[&modules::fingerprint()],
            )
            .await?;
        let (usable, ended, free): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        let enough = match want {
            Want::Pool(target) => free > 0 || usable + ended >= i64::from(target),
            // With the pool off, ended slots are dropped. Claims are counted after the slots: one that has got its slot
            // in between must not be made another.
            Want::Claims if store::target(&transaction, self.pool.target).await? == 0 => {
                usable >= i64::from(self.cold.waiting())
            }
            Want::Claims => free > 0 || usable >= i64::from(self.cold.waiting()),
        };
        if enough {
            transaction.rollback().await?;
            return Ok(None);
        }
        let mut slot = reserve_one(&transaction).await?;
        if slot.is_none() {
            self.make_roles(&transaction).await?;
            slot = reserve_one(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(slot)
    }

    /// Makes the next batch of slot roles and lets the tenant login take them on.
    async fn make_roles(&self, transaction: &Transaction) -> Result<(), Error> {
        let row = transaction
            .query_one("SELECT coalesce(max(id), 0) FROM provisioner.slots", &[])
            .await?;
        let first = row.get::<_, i32>(0) + 1;
        let mut roles = Vec::new();
        for id in first..first + BATCH {
            roles.push((id, RoleName::parse(&format!("{}_slot_{id:04}", self.names.database))?));
        }
        let names: Vec<&str> = roles.iter().map(|(_, role)| role.as_str()).collect();
        // Roles outlive their database: one made anew under the old name finds them.
        let existing: Vec<String> = transaction
            .query(
                "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($1)",
                &[&names],
            )
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let mut script = String::new();
        for (id, role) in &roles {
            if !existing.iter().any(|name| name == role.as_str()) {
                script.push_str(&format!("CREATE ROLE {} NOLOGIN NOINHERIT;\n", role.quoted()));
            }
            script.push_str(&format!(
                "INSERT INTO provisioner.slots (id, role_name) VALUES ({id}, '{role}');\n"
            ));
        }
        let all: Vec<String> = roles.iter().map(|(_, role)| role.quoted()).collect();
        script.push_str(&format!(
            "GRANT {} TO {}{}",
            all.join(", "),
            self.names.tenant.quoted(),
            self.names.membership
        ));
        transaction.batch_execute(&script).await?;
        tracing::info!(first, count = BATCH, "made slot roles");
        Ok(())
    }

    /// Makes schema, tables and rights in one transaction: a slot is there whole or not at all. The lock on its row
    /// tells others that it is being worked on.
    async fn build(&self, slot: &Slot, pace: Pace) -> Result<(), Error> {
        let schema = slot.schema()?;
        let (name, role) = (schema.quoted(), slot.role.quoted());
        let transaction = self.database.begin("").await?;
        let owned = transaction
            .query_opt(
                "SELECT FROM provisioner.slots WHERE id = $1 AND generation = $2 AND state = 'preparing' FOR UPDATE",
                &[&slot.id, &slot.generation],
            )
            .await?;
        if owned.is_none() {
            transaction.rollback().await?;
            return Err(Error::Cut);
        }
        transaction
            .batch_execute(&format!("CREATE SCHEMA {name}; SET LOCAL search_path = {name}"))
            .await?;
        for module in MODULES {
            let started = Instant::now();
            transaction.batch_execute(module.tables).await?;
            if pace == Pace::Gentle && !self.cold.is_wanted() {
                self.traffic.lull(LULL).await;
                sleep(started.elapsed()).await;
            }
            if pace == Pace::Gentle && self.lifecycle.is_stopping() {
                return Err(Error::Stopping);
            }
        }
        transaction
            .batch_execute(&format!(
                "{}; GRANT USAGE ON SCHEMA {name} TO {role};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}",
                modules::identity_sql(slot.role.as_str())
            ))
            .await?;
        let imprint = imprint::of(&transaction, schema, &slot.role).await?;
        transaction
            .execute(
                "UPDATE provisioner.slots SET state = 'ready', imprint = $2, updated_at = now() WHERE id = $1",
                &[&slot.id, &imprint],
            )
            .await?;
        transaction.commit().await
    }

    /// Undoes a reservation. Where that fails too, reconciling does it later.
    async fn give_back(&self, slot: &Slot) -> Result<(), Error> {
        let connection = self.database.connection().await?;
        connection
            .execute(
                "UPDATE provisioner.slots SET state = 'empty', schema_name = NULL, fingerprint = NULL, updated_at = now()
                 WHERE id = $1 AND generation = $2 AND state = 'preparing'",
                &[&slot.id, &slot.generation],
            )
            .await?;
        Ok(())
    }

    /// Whether this program's DDL is the present one.
    pub(super) async fn is_present(&self) -> Result<bool, Error> {
        let connection = self.database.connection().await?;
        store::is_present(&connection, modules::fingerprint(), self.recent()).await
    }
}

async fn reserve_one(transaction: &Transaction) -> Result<Option<Slot>, Error> {
    let row = transaction
        .query_opt(
            &format!(
                "UPDATE provisioner.slots SET state = 'preparing', generation = generation + 1, uses = 0,
                    schema_name = format('slot_%s_%s', lpad(id::text, greatest(4, length(id::text)), '0'), generation + 1),
                    fingerprint = $1, imprint = NULL, modules = '{{}}', seed = NULL, currency = NULL, furnished_at = NULL,
                    furnished_xids = '{{}}', furnished_rows = NULL, discard = false, attempts = 0,
                    retry_at = '-infinity', updated_at = now()
                 WHERE id = (
                    SELECT id FROM provisioner.slots WHERE state = 'empty' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
                 RETURNING {COLUMNS}"
            ),
            &[&modules::fingerprint()],
        )
        .await?;
    row.as_ref().map(Slot::of).transpose()
}
