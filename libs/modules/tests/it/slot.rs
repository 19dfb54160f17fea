//! A schema with all tables, seeded as the provisioner does it.

use anyhow::{Context, Result};
use modules::{CORE, Module, SEED_FUNCTIONS, seed_sql, tables_sql};
use testkit::TestDatabase;
use tokio_postgres::Client;
use uuid::Uuid;

pub struct Slot {
    pub client: Client,
    /// Dropped last: it removes the database.
    _database: TestDatabase,
}

impl Slot {
    /// All tables, without rows, in a schema of a database of its own.
    pub async fn prepared() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let client = database.connect().await?;
        client
            .batch_execute(&format!("CREATE SCHEMA provisioner; {SEED_FUNCTIONS}"))
            .await?;
        let slot = Self {
            client,
            _database: database,
        };
        slot.enter("slot").await?;
        Ok(slot)
    }

    /// Core and these modules, freshly seeded.
    pub async fn seeded(modules: &[&Module]) -> Result<Self> {
        let slot = Self::prepared().await?;
        slot.seed(Uuid::now_v7(), &[&[CORE], modules].concat()).await?;
        Ok(slot)
    }

    /// Makes another schema with all tables and goes on in it.
    pub async fn enter(&self, schema: &str) -> Result<()> {
        self.client
            .batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}"))
            .await?;
        self.client.batch_execute(tables_sql()).await.context("the tables")
    }

    pub async fn seed(&self, session: Uuid, modules: &[&Module]) -> Result<()> {
        let script = format!(
            "BEGIN; SET LOCAL livepreview.seed = '{session}'; SET LOCAL livepreview.currency = 'EUR'; {}; COMMIT",
            seed_sql(modules)
        );
        self.client.batch_execute(&script).await.context("the seed")
    }

    pub async fn count(&self, table: &str) -> Result<i64> {
        self.one(&format!("SELECT count(*) FROM {table}")).await
    }

    pub async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> Result<T> {
        Ok(self
            .client
            .query_one(sql, &[])
            .await
            .with_context(|| sql.to_owned())?
            .try_get(0)?)
    }

    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.client.query(sql, &[]).await.with_context(|| sql.to_owned())?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
