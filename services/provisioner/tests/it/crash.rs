//! Connections that are lost in the middle of a step: PostgreSQL's backend is killed, the process goes on.

use anyhow::Result;
use proto::v1::SetPoolTargetRequest;
use tokio_postgres::Client;
use tonic::Code;

use crate::support::{Replica, assert_in_order, database, exists, schema, session, until, until_blocked, value};

/// Kills whoever waits for a lock.
async fn kill_the_blocked(client: &Client) -> Result<()> {
    until_blocked(client).await?;
    client
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity a USING (pid)
             WHERE NOT granted AND datname = current_database()",
            &[],
        )
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_cut_off_while_it_seeds_leaves_the_slot_as_it_was() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let (look, holder) = (database.connect().await?, database.connect().await?);
    holder
        .batch_execute("BEGIN; LOCK TABLE slot_0001_1.settings IN ACCESS EXCLUSIVE MODE")
        .await?;
    let id = session();
    let (refused, killed) = tokio::join!(replica.provision(id, &[]), kill_the_blocked(&look));
    killed?;
    assert_eq!(refused.expect_err("it was killed").code(), Code::Unavailable);
    holder.batch_execute("ROLLBACK").await?;

    assert!(exists(&look, "slot_0001_1").await?);
    let users = "SELECT count(*) FROM slot_0001_1.users";
    assert_eq!(value::<i64>(&look, users).await?, 0);
    assert!(replica.provision(id, &[]).await?.warm, "the repeat gets it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_no_half_claim() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let (look, holder) = (database.connect().await?, database.connect().await?);
    holder
        .batch_execute("BEGIN; LOCK TABLE slot_0001_1.settings IN ACCESS EXCLUSIVE MODE")
        .await?;
    let id = session();
    tokio::select! {
        _ = replica.provision(id, &[]) => panic!("it cannot be done"),
        blocked = until_blocked(&look) => blocked?,
    }
    holder.batch_execute("ROLLBACK").await?;
    until(
        "the claim is brought to its end",
        &look,
        "SELECT EXISTS (SELECT FROM provisioner.slots WHERE session_id = $1)",
        &[&id.uuid()],
    )
    .await?;
    let users = format!("SELECT count(*) FROM {}.users", schema(id));
    assert_eq!(value::<i64>(&look, &users).await?, 6);
    assert_eq!(replica.provision(id, &[]).await?.schema_name, schema(id));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preparation_that_is_cut_off_leaves_no_half_schema() -> Result<()> {
    let database = database().await?;
    let look = database.connect().await?;
    // The first preparation stops in the middle of its tables.
    look.batch_execute(
        "CREATE FUNCTION public.stop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN PERFORM pg_advisory_xact_lock(7); END $$;
         CREATE EVENT TRIGGER stop ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.stop();
         GRANT USAGE ON SCHEMA public TO PUBLIC",
    )
    .await?;
    let holder = database.connect().await?;
    let replica = Replica::start(&database, &[]).await?;
    holder.batch_execute("SELECT pg_advisory_lock(7)").await?;
    let id = session();
    let (home, killed) = tokio::join!(replica.provision(id, &[]), async {
        kill_the_blocked(&look).await?;
        look.batch_execute("DROP EVENT TRIGGER stop").await?;
        holder.batch_execute("SELECT pg_advisory_unlock(7)").await?;
        anyhow::Ok(())
    });
    killed?;
    assert!(!home?.warm, "the next preparation serves it");
    replica.wait("nothing is under way", |pool| pool.preparing == 0).await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_that_is_cut_off_is_done_again() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let (look, holder) = (database.connect().await?, database.connect().await?);
    let id = session();
    replica.provision(id, &["ecommerce"]).await?;
    holder
        .batch_execute(&format!("BEGIN; SELECT FROM {}.faqs", schema(id)))
        .await?;
    replica.drop_schema(id).await?;
    kill_the_blocked(&look).await?;
    holder.batch_execute("COMMIT").await?;
    until(
        "it is clean",
        &look,
        "SELECT state = 'ready' FROM provisioner.slots WHERE id = 1",
        &[],
    )
    .await?;
    assert_eq!(value::<i64>(&look, "SELECT count(*) FROM slot_0001_1.users").await?, 0);
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_that_is_cut_off_goes_on_where_it_was() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let (look, holder) = (database.connect().await?, database.connect().await?);
    holder.batch_execute("BEGIN; SELECT FROM slot_0001_1.faqs").await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 0 })
        .await?;
    kill_the_blocked(&look).await?;
    let left: i64 = value(&look, "SELECT count(*) FROM pg_tables WHERE schemaname = 'slot_0001_1'").await?;
    assert!((1..85).contains(&left), "{left} tables are left");
    holder.batch_execute("COMMIT").await?;
    until(
        "it is dropped",
        &look,
        "SELECT state = 'empty' FROM provisioner.slots WHERE id = 1",
        &[],
    )
    .await?;
    assert!(!exists(&look, "slot_0001_1").await?);
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_restarts_and_the_provisioner_goes_on() -> Result<()> {
    let database = testkit::TestDatabase::private(&[]).await?;
    provisioner::install::install(&crate::support::installation(&database)).await?;
    let replica = Replica::filled(&database, 2).await?;
    database.cluster().expect("it is private").lock().await.restart()?;
    let mut refused = 0;
    while let Err(status) = replica.provision(session(), &[]).await {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        refused += 1;
        assert!(refused < 20, "{status:?}");
    }
    replica.wait("the pool is filled again", |pool| pool.ready == 2).await?;
    assert_in_order(&database.connect().await?).await
}
