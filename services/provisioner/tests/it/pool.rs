//! Keeping the pool at its target.

use std::time::Duration;

use anyhow::Result;
use proto::v1::SetPoolTargetRequest;
use tokio::time::Instant;

use crate::support::{Replica, assert_in_order, database, session, until, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_together_fill_the_pool_to_its_target_and_not_beyond() -> Result<()> {
    let database = database().await?;
    let settings = [("POOL_TARGET", "4")];
    let (one, _other) = tokio::try_join!(
        Replica::start(&database, &settings),
        Replica::start(&database, &settings)
    )?;
    one.wait("the pool is full", |pool| pool.ready >= 4).await?;
    let pool = one.wait("nothing is on its way", |pool| pool.preparing == 0).await?;
    assert_eq!((pool.ready, pool.empty), (4, 60));
    assert_in_order(&database.connect().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_slots_of_one_ddl_have_as_many_rows_in_the_catalogues() -> Result<()> {
    let database = database().await?;
    let _replica = Replica::filled(&database, 2).await?;
    let look = database.connect().await?;
    let lines = "SELECT count(DISTINCT split_part(imprint, '-', 1)) FROM provisioner.slots
        WHERE state = 'ready' AND imprint IS NOT NULL";
    assert_eq!(value::<i64>(&look, lines).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_target_holds_for_every_replica_and_over_restarts() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 3).await?;
    let status = replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 1 })
        .await?
        .into_inner()
        .status
        .expect("the levels");
    assert_eq!((status.target, status.ready), (1, 1));
    replica.wait("the others are dropped", |pool| pool.empty == 63).await?;
    drop(replica);

    let again = Replica::start(&database, &[("POOL_TARGET", "3")]).await?;
    assert_eq!(again.pool().await?.target, 1);
    again
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 2 })
        .await?;
    again.wait("the pool is filled", |pool| pool.ready == 2).await?;
    assert_in_order(&database.connect().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_is_filled_again_as_soon_as_a_slot_is_taken() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    replica.provision(session(), &[]).await?;
    let pool = replica.wait("the pool is filled again", |pool| pool.ready == 1).await?;
    assert_eq!(pool.claimed, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_nobody_used_for_long_are_dropped_beyond_the_target() -> Result<()> {
    let database = database().await?;
    let settings = [
        ("POOL_TARGET", "1"),
        ("POOL_SURPLUS_SECONDS", "0"),
        ("RECONCILE_INTERVAL_SECONDS", "1"),
    ];
    let replica = Replica::start(&database, &settings).await?;
    let ids = [session(), session()];
    for id in ids {
        replica.provision(id, &[]).await?;
    }
    for id in ids {
        replica.drop_schema(id).await?;
    }
    replica
        .wait("one slot is left", |pool| pool.ready == 1 && pool.empty == 63)
        .await?;
    assert_in_order(&database.connect().await?).await
}

/// A slot takes a third of a second to make; between the tables of two modules the filling waits for calls, half a
/// second at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filling_makes_way_for_calls_but_not_for_ever() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 4).await?;
    let look = database.connect().await?;
    let id = session();
    replica.provision(id, &[]).await?;
    replica.wait("the pool is full again", |pool| pool.ready >= 4).await?;
    let holder = database.connect().await?;
    holder.batch_execute("BEGIN").await?;
    holder
        .execute(
            "SELECT FROM provisioner.slots WHERE session_id = $1 FOR UPDATE",
            &[&id.uuid()],
        )
        .await?;
    // On a busy machine the call gives up before the pool is full; that is as good.
    let (_, ()) = tokio::join!(replica.provision(id, &[]), async {
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        until("a call is under way", &look, waits, &[]).await.expect("it waits");
        replica.provision(session(), &[]).await.expect("a ready slot");
        let begun = Instant::now();
        replica
            .wait("the pool is full", |pool| pool.ready >= 4)
            .await
            .expect("it is filled");
        assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
        holder.batch_execute("COMMIT").await.expect("the call goes on");
    });
    Ok(())
}
