//! Making the world match the records.

use anyhow::Result;
use provisioner::slot::Repairs;

use crate::support::{Replica, assert_in_order, database, exists, schema, session, until, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_of_other_ddl_are_discarded_and_never_given_out() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let look = database.connect().await?;
    let living = session();
    replica.provision(living, &[]).await?;
    replica.wait("the pool is full", |pool| pool.ready == 2).await?;
    look.batch_execute("UPDATE provisioner.slots SET fingerprint = 'old' WHERE state <> 'empty'")
        .await?;

    let home = replica.provision(session(), &[]).await?;
    assert!(!home.warm, "old slots are not for new sessions");
    assert!(
        exists(&look, &schema(living)).await?,
        "a session goes on with the tables it has"
    );
    replica.running.slots.reconcile().await?;
    replica
        .wait("new slots took the place of old ones", |pool| {
            pool.ready >= 2 && pool.gone == 0
        })
        .await?;
    let old = "SELECT count(*) FROM provisioner.slots WHERE fingerprint = 'old'";
    assert_eq!(value::<i64>(&look, old).await?, 1, "the living session's");
    replica.drop_schema(living).await?;
    replica.wait("its slot is dropped", |pool| pool.gone == 0).await?;
    assert_eq!(value::<i64>(&look, old).await?, 0);
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_program_leaves_the_slots_of_a_newer_one_alone() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    look.batch_execute(
        "UPDATE provisioner.slots SET fingerprint = 'newer' WHERE state = 'ready';
         INSERT INTO provisioner.fingerprints VALUES ('newer', clock_timestamp())",
    )
    .await?;
    assert_eq!(replica.running.slots.reconcile().await?, Repairs::default());
    let ready = "SELECT count(*) FROM provisioner.slots WHERE state = 'ready' AND fingerprint = 'newer'";
    assert_eq!(value::<i64>(&look, ready).await?, 1);

    // Once the newer one is gone its slots are of no use.
    look.batch_execute(
        "UPDATE provisioner.fingerprints SET seen_at = now() - interval '1 hour' WHERE fingerprint = 'newer'",
    )
    .await?;
    assert_eq!(replica.running.slots.reconcile().await?.outdated, 1);
    replica.wait("the pool is filled again", |pool| pool.ready == 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preparation_that_was_cut_off_is_undone_and_one_under_way_is_not() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[]).await?;
    replica.provision(session(), &[]).await?;
    let look = database.connect().await?;
    look.batch_execute(
        "UPDATE provisioner.slots SET state = 'preparing', schema_name = 'slot_x' || id, generation = 1,
            updated_at = now() - interval '1 hour' WHERE id IN (10, 11)",
    )
    .await?;
    let at_work = database.connect().await?;
    at_work
        .batch_execute("BEGIN; SELECT FROM provisioner.slots WHERE id = 11 FOR UPDATE")
        .await?;
    let repairs = replica.running.slots.reconcile().await?;
    assert_eq!(repairs.abandoned, 1);
    let state = "SELECT string_agg(state, ' ' ORDER BY id) FROM provisioner.slots WHERE id IN (10, 11)";
    assert_eq!(value::<String>(&look, state).await?, "empty preparing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_whose_schema_is_missing_are_emptied() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    let id = session();
    let home = replica.provision(id, &[]).await?;
    replica.wait("the pool is full", |pool| pool.ready == 1).await?;
    look.batch_execute(&format!("DROP SCHEMA {} CASCADE", home.schema_name))
        .await?;
    let pooled: String = value(&look, "SELECT schema_name FROM provisioner.slots WHERE state = 'ready'").await?;
    look.batch_execute(&format!("DROP SCHEMA {pooled} CASCADE")).await?;

    assert_eq!(replica.running.slots.reconcile().await?.missing, 2);

    assert_eq!(replica.pool().await?.claimed, 0);
    assert!(!replica.drop_schema(id).await?);
    replica.wait("the pool is filled again", |pool| pool.ready == 1).await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_slot_without_its_schema_does_not_stand_in_the_way() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let look = database.connect().await?;
    let first: String = value(
        &look,
        "SELECT schema_name FROM provisioner.slots WHERE state = 'ready' ORDER BY updated_at DESC LIMIT 1",
    )
    .await?;
    look.batch_execute(&format!("DROP SCHEMA {first} CASCADE")).await?;
    assert!(replica.provision(session(), &[]).await?.warm);
    until(
        "its record is emptied",
        &look,
        "SELECT NOT EXISTS (SELECT FROM provisioner.slots WHERE schema_name = $1)",
        &[&first],
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_schemas_with_our_kind_of_name_are_left_alone() -> Result<()> {
    let database = database().await?;
    let look = database.connect().await?;
    let foreign = ["preview_0", "slot_0001_1"];
    for schema in foreign {
        look.batch_execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t ()"))
            .await?;
    }
    let replica = Replica::filled(&database, 1).await?;
    let id = session();
    replica.provision(id, &[]).await?;
    replica.drop_schema(id).await?;
    replica.running.slots.reconcile().await?;
    replica
        .wait("nothing is under way", |pool| pool.gone + pool.preparing == 0)
        .await?;
    for schema in foreign {
        let table = format!("SELECT to_regclass('{schema}.t') IS NOT NULL");
        assert!(value::<bool>(&look, &table).await?, "{schema}");
    }
    Ok(())
}
