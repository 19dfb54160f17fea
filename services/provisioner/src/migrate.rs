//! Versioned migrations of the schema `provisioner`.

use anyhow::{Context, bail};

use crate::{database::Database, lock};

/// In order; what was released is never changed.
const MIGRATIONS: &[(i32, &str)] = &[
    (1, include_str!("../migrations/0001_slots.sql")),
    (2, include_str!("../migrations/0002_furnished.sql")),
    (3, include_str!("../migrations/0003_untouched.sql")),
    (4, include_str!("../migrations/0004_seen.sql")),
    (5, include_str!("../migrations/0005_generation.sql")),
];

/// Brings the schema up to date. Replicas that start together wait for each other.
///
/// # Errors
/// When the database was not prepared with `provisioner install`, or is ahead of this program.
pub async fn migrate(database: &Database) -> anyhow::Result<()> {
    let transaction = database.begin(&lock::for_transaction(lock::MIGRATE)).await?;
    let installed = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
                WHERE nspname = 'provisioner' AND proname = 'without_checks'
                AND has_schema_privilege(n.oid, 'USAGE, CREATE') AND has_function_privilege(pg_proc.oid, 'EXECUTE')),
                current_user::text",
            &[],
        )
        .await?;
    if !installed.get::<_, bool>(0) {
        bail!(
            "the database is not prepared for the login {}: run `provisioner install` as superuser",
            installed.get::<_, String>(1)
        );
    }
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS provisioner.migrations (
                version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await
        .context("the schema `provisioner` cannot be written: run `provisioner install` as superuser")?;
    let applied: i32 = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM provisioner.migrations", &[])
        .await?
        .get(0);
    let newest = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    if applied > newest {
        tracing::warn!(applied, newest, "the database is ahead of this program");
    }
    for (version, script) in MIGRATIONS.iter().filter(|(version, _)| *version > applied) {
        transaction
            .batch_execute(script)
            .await
            .with_context(|| format!("migration {version} of the schema provisioner"))?;
        transaction
            .execute("INSERT INTO provisioner.migrations (version) VALUES ($1)", &[version])
            .await?;
        tracing::info!(version, "migrated");
    }
    transaction
        .batch_execute(modules::SEED_FUNCTIONS)
        .await
        .context("the functions that seeds call")?;
    transaction.commit().await?;
    Ok(())
}
