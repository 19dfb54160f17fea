//! Dropping slots for good.

use anyhow::Result;
use proto::v1::SetPoolTargetRequest;

use crate::support::{Replica, assert_in_order, database, until, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_drops_at_once_need_fewer_locks_than_the_defaults_give() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 10).await?;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Replica::start(&database, &[("POOL_TARGET", "10"), ("DB_POOL_SIZE", "3")]).await?);
    }
    let look = database.connect().await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 0 })
        .await?;

    let (mut most, mut busiest) = (0, 0);
    loop {
        let row = look
            .query_one(
                "SELECT (SELECT count(*) FROM pg_locks WHERE NOT fastpath),
                    (SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP %' AND state = 'active'
                        AND datname = current_database()),
                    (SELECT count(*) FROM provisioner.slots WHERE state = 'gone')",
                &[],
            )
            .await?;
        most = most.max(row.get::<_, i64>(0));
        busiest = busiest.max(row.get::<_, i64>(1));
        if row.get::<_, i64>(2) == 0 {
            break;
        }
    }
    println!("{most} locks at most, {busiest} drops at once");
    assert!(most < 64 * 100, "{most} locks");
    assert!(busiest >= 4, "only {busiest} drops at once: the test proves nothing");
    let empty = "SELECT count(*) FROM provisioner.slots WHERE state = 'empty' AND attempts = 0";
    assert_eq!(value::<i64>(&look, empty).await?, 64);
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_in_use_only_delays_its_own_schema() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let reader = database.connect().await?;
    reader.batch_execute("BEGIN; SELECT FROM slot_0001_1.users").await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 0 })
        .await?;
    let look = database.connect().await?;
    let is_empty = "SELECT state = 'empty' FROM provisioner.slots WHERE id = $1";
    until("the free one is dropped", &look, is_empty, &[&2]).await?;
    assert_eq!(
        value::<i64>(&reader, "SELECT count(*) FROM slot_0001_1.users").await?,
        0
    );
    reader.batch_execute("COMMIT").await?;
    until("the other one follows", &look, is_empty, &[&1]).await?;
    assert_in_order(&look).await
}
