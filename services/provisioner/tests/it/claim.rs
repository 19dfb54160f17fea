//! Giving slots to sessions.

use std::collections::BTreeSet;

use anyhow::Result;
use fault::Fault;
use proto::v1::{DropSchemaRequest, ProvisionSchemaRequest};
use tonic::Code;

use crate::support::{Replica, assert_in_order, database, exists, schema, session, together, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_gets_a_schema_with_its_modules_demo_data_and_no_other() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;

    let id = session();
    let home = replica.provision(id, &["ecommerce"]).await?;

    assert!(home.warm);
    assert_eq!(home.schema_name, schema(id));
    assert_eq!(home.role_name, format!("{}_slot_0001", database.name()));
    let rows = |table: &str| format!("SELECT count(*) FROM {}.{table}", home.schema_name);
    assert!(value::<i64>(&look, &rows("ecommerce_products")).await? > 0);
    assert_eq!(value::<i64>(&look, &rows("users")).await?, 6);
    assert_eq!(value::<i64>(&look, &rows("lms_courses")).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_rows_satisfy_the_foreign_keys_that_nobody_checked() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    let all: Vec<&str> = modules::MODULES.iter().map(|module| module.id).collect();
    let home = replica.provision(session(), &all).await?;

    // Declaring a key again makes PostgreSQL check every row.
    let keys = look
        .query(
            "SELECT format('ALTER TABLE %s ADD FOREIGN KEY %s', conrelid::regclass,
                substr(pg_get_constraintdef(oid), 13)) FROM pg_constraint
             WHERE contype = 'f' AND connamespace = to_regnamespace($1)",
            &[&home.schema_name],
        )
        .await?;
    assert!(keys.len() > 100, "{} foreign keys", keys.len());
    for key in keys {
        look.batch_execute(key.get(0)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_sessions_at_once_get_twenty_slots_from_a_pool_of_four() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 4).await?;

    let homes = together((0..20).map(|_| replica.provision(session(), &["ecommerce"]))).await;

    let homes: Vec<_> = homes.into_iter().collect::<Result<_, _>>()?;
    let schemas: BTreeSet<_> = homes.iter().map(|home| &home.schema_name).collect();
    let roles: BTreeSet<_> = homes.iter().map(|home| &home.role_name).collect();
    assert_eq!((schemas.len(), roles.len()), (20, 20));
    let warm = homes.iter().filter(|home| home.warm).count();
    assert!(warm >= 4, "{warm} were warm");
    replica.wait("the pool is filled again", |pool| pool.ready >= 4).await?;
    assert_in_order(&database.connect().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_gets_the_same_slot_also_at_the_same_moment_and_from_another_replica() -> Result<()> {
    let database = database().await?;
    let (one, other) = (
        Replica::filled(&database, 3).await?,
        Replica::filled(&database, 3).await?,
    );
    let id = session();

    let homes = together((0..12).map(|n| if n % 2 == 0 { &one } else { &other }.provision(id, &[]))).await;

    let homes: Vec<_> = homes.into_iter().collect::<Result<_, _>>()?;
    assert!(homes.iter().all(|home| home.role_name == homes[0].role_name));
    let look = database.connect().await?;
    let claimed = "SELECT count(*) FROM provisioner.slots WHERE state = 'claimed'";
    assert_eq!(value::<i64>(&look, claimed).await?, 1);
    let discarded = "SELECT count(*) FROM provisioner.slots WHERE discard OR generation > 1";
    assert_eq!(value::<i64>(&look, discarded).await?, 0, "a slot was blamed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_with_further_modules_seeds_them() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let id = session();
    let home = replica.provision(id, &[]).await?;
    let look = database.connect().await?;
    let products = format!("SELECT count(*) FROM {}.ecommerce_products", home.schema_name);
    assert_eq!(value::<i64>(&look, &products).await?, 0);
    for _ in 0..2 {
        replica.provision(id, &["ecommerce"]).await?;
        assert!(value::<i64>(&look, &products).await? > 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_pool_off_slots_are_made_on_demand_and_not_kept() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[]).await?;
    let ids: Vec<_> = (0..3).map(|_| session()).collect();

    let homes = together(ids.iter().map(|id| replica.provision(*id, &[]))).await;

    let homes: Vec<_> = homes.into_iter().collect::<Result<_, _>>()?;
    assert!(homes.iter().all(|home| !home.warm));
    let pool = replica.pool().await?;
    assert_eq!(
        (pool.claimed, pool.ready, pool.preparing),
        (3, 0, 0),
        "no more are made than are wanted"
    );
    for id in ids {
        assert!(replica.drop_schema(id).await?);
    }
    replica.wait("all slots are empty", |pool| pool.empty == 64).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gets_no_slot_in_time_is_told_when_to_try_again() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[("POOL_WAIT_SECONDS", "1")]).await?;
    let holder = database.connect().await?;
    holder
        .batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_namespace IN SHARE MODE")
        .await?;
    let refused = replica.provision(session(), &[]).await.expect_err("every slot is held");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(Fault::reason(&refused), (Some("UNAVAILABLE".into()), Some(2)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_the_sessions_name_that_is_not_ours_is_never_touched() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    let id = session();
    look.batch_execute(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.theirs ()", schema(id)))
        .await?;

    let refused = replica.provision(id, &[]).await.expect_err("the name is taken");

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(!replica.drop_schema(id).await?);
    assert!(exists(&look, &schema(id)).await?);
    assert_eq!(replica.pool().await?.ready, 1, "the slot is free again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_while_its_schema_is_made_leaves_nothing() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 4).await?;
    let look = database.connect().await?;
    for _ in 0..10 {
        let id = session();
        let (home, _) = tokio::join!(replica.provision(id, &["ecommerce"]), replica.drop_schema(id));
        home?;
        replica.drop_schema(id).await?;
        assert!(!exists(&look, &schema(id)).await?);
    }
    replica
        .wait("no slot is taken", |pool| pool.claimed == 0 && pool.gone == 0)
        .await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_that_comes_late_leaves_what_was_claimed_since() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let look = database.connect().await?;
    let id = session();
    let provision = async |generation| {
        let request = ProvisionSchemaRequest {
            session_id: id.to_string(),
            currency: "USD".into(),
            generation,
            ..ProvisionSchemaRequest::default()
        };
        anyhow::Ok(replica.calls()?.provision_schema(request).await?.into_inner().role_name)
    };
    let drop = async |before| {
        let request = DropSchemaRequest {
            session_id: id.to_string(),
            before_generation: before,
        };
        anyhow::Ok(replica.calls()?.drop_schema(request).await?.into_inner().existed)
    };
    provision(1).await?;
    assert!(drop(Some(2)).await?);
    let role = provision(2).await?;
    assert!(!drop(Some(2)).await?, "it comes late");
    assert_eq!(provision(2).await?, role);
    assert_eq!(provision(3).await?, role, "no drop came before it");
    assert!(!drop(Some(3)).await?);
    assert_eq!(provision(1).await?, role, "this one comes late");
    assert!(!drop(Some(3)).await?, "and changes nothing");
    assert!(exists(&look, &schema(id)).await?);
    assert!(drop(None).await?);
    assert!(!exists(&look, &schema(id)).await?);
    assert_in_order(&look).await
}
