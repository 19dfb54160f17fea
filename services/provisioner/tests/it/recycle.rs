//! Emptying ended slots.

use anyhow::Result;
use domain::SessionId;
use testkit::TestDatabase;
use tokio_postgres::Client;

use crate::support::{Replica, assert_in_order, database, exists, schema, session, until, value};

/// Rows in all tables of a schema.
async fn rows(client: &Client, schema: &str) -> Result<i64> {
    let tables = modules::table_names();
    let counts: Vec<_> = tables
        .iter()
        .map(|t| format!("(SELECT count(*) FROM {schema}.{t})"))
        .collect();
    value(client, &format!("SELECT {}", counts.join(" + "))).await
}

/// A replica with one slot and a session in it.
async fn lived_in(database: &TestDatabase) -> Result<(Replica, SessionId, Client)> {
    let replica = Replica::filled(database, 1).await?;
    let id = session();
    replica.provision(id, &["ecommerce"]).await?;
    replica.wait("the pool is filled again", |pool| pool.ready == 1).await?;
    Ok((replica, id, database.connect().await?))
}

/// Waits until emptying slot 1 had to give up, since somebody still uses a table.
async fn until_postponed(client: &Client) -> Result<()> {
    let postponed = "SELECT attempts > 0 FROM provisioner.slots WHERE id = 1";
    until("emptying gave up once", client, postponed, &[]).await
}

/// How slot 1 ended: whether its first schema is in the pool again.
async fn is_back(client: &Client) -> Result<bool> {
    until(
        "slot 1 is in the pool or empty",
        client,
        "SELECT state IN ('ready', 'empty') FROM provisioner.slots WHERE id = 1",
        &[],
    )
    .await?;
    exists(client, "slot_0001_1").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_leaves_a_clean_slot_and_no_name() -> Result<()> {
    let database = database().await?;
    let (replica, id, look) = lived_in(&database).await?;
    assert!(rows(&look, &schema(id)).await? > 100);

    assert!(replica.drop_schema(id).await?);

    assert!(
        !exists(&look, &schema(id)).await?,
        "the name is gone when the call answers"
    );
    assert!(!replica.drop_schema(id).await?, "again: nothing left");
    assert!(is_back(&look).await?);
    assert_eq!(rows(&look, "slot_0001_1").await?, 0);
    let home = replica.provision(session(), &["ecommerce"]).await?;
    assert_eq!(
        home.role_name,
        format!("{}_slot_0001", database.name()),
        "the slot used last is taken first"
    );
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_changed_is_dropped_and_not_used_again() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    look.batch_execute("CREATE ROLE other NOLOGIN")
        .await
        .or_else(|_| anyhow::Ok(()))?;
    for (position, change) in [
        "CREATE TABLE $.extra ()",
        "CREATE FUNCTION $.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE $.mood AS ENUM ('good')",
        "CREATE SEQUENCE $.numbers",
        "ALTER TABLE $.users ADD COLUMN extra int",
        "ALTER TABLE $.users ALTER COLUMN name SET DEFAULT 'x'",
        "ALTER TABLE $.users DISABLE TRIGGER ALL",
        "ALTER TABLE $.users OWNER TO CURRENT_USER",
        "GRANT SELECT ON $.users TO PUBLIC",
        "DROP TABLE $.ecommerce_cart_items CASCADE",
        "DROP INDEX $.users_created_at_idx",
        "CREATE RULE keep AS ON DELETE TO $.users DO INSTEAD NOTHING",
    ]
    .into_iter()
    .enumerate()
    {
        let id = session();
        replica.provision(id, &[]).await?;
        let slot: i32 = value(&look, "SELECT id FROM provisioner.slots WHERE state = 'claimed'").await?;
        let made: i32 = value(
            &look,
            &format!("SELECT generation FROM provisioner.slots WHERE id = {slot}"),
        )
        .await?;
        look.batch_execute(&change.replace('$', &schema(id))).await?;
        replica.drop_schema(id).await?;
        until(
            change,
            &look,
            "SELECT (state = 'empty' AND generation = $2) OR generation > $2 FROM provisioner.slots WHERE id = $1",
            &[&slot, &made],
        )
        .await?;
        assert!(
            !exists(&look, &format!("slot_{slot:04}_{made}")).await?,
            "{position}: after {change} the schema is in the pool"
        );
    }
    replica
        .wait("the pool is clean and full", |pool| pool.ready == 1 && pool.gone == 0)
        .await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_the_old_session_is_waited_for_even_if_it_only_reads() -> Result<()> {
    let database = database().await?;
    let (replica, id, look) = lived_in(&database).await?;
    let tenant = database.connect_as("tenant").await?;
    let role = format!("{}_slot_0001", database.name());
    tenant
        .batch_execute(&format!(
            "BEGIN; SET LOCAL ROLE {role}; SET LOCAL search_path = {}; SELECT FROM notifications",
            schema(id)
        ))
        .await?;

    assert!(replica.drop_schema(id).await?, "the end does not wait for it");
    until_postponed(&look).await?;
    let state: String = value(&look, "SELECT state FROM provisioner.slots WHERE id = 1").await?;
    assert_eq!(state, "gone");

    let refused = tenant
        .batch_execute("SELECT * FROM users")
        .await
        .expect_err("the name is gone");
    assert_eq!(refused.code(), Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE));
    tenant.batch_execute("ROLLBACK").await?;

    assert!(is_back(&look).await?);
    assert_eq!(rows(&look, "slot_0001_1").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_after_the_end_is_deleted_with_the_rest() -> Result<()> {
    let database = database().await?;
    let (replica, id, look) = lived_in(&database).await?;
    let tenant = database.connect_as("tenant").await?;
    let role = format!("{}_slot_0001", database.name());
    tenant
        .batch_execute(&format!(
            "BEGIN; SET LOCAL ROLE {role}; SET LOCAL search_path = {}; INSERT INTO faqs (id, question, answer) VALUES (gen_random_uuid(), 'q', 'a')",
            schema(id)
        ))
        .await?;
    replica.drop_schema(id).await?;
    until_postponed(&look).await?;
    tenant.batch_execute("COMMIT").await?;
    assert!(is_back(&look).await?);
    assert_eq!(rows(&look, "slot_0001_1").await?, 0);
    Ok(())
}
