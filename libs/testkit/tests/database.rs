//! The test kit's own promises.

use anyhow::Result;
use testkit::TestDatabase;

#[tokio::test]
async fn a_database_and_its_roles_are_gone_after_its_test() -> Result<()> {
    let witness = TestDatabase::create().await?;
    let database = witness.sibling().await?;
    let name = database.name().to_owned();
    let client = database.connect().await?;
    client
        .batch_execute(&format!(
            "CREATE ROLE {name}_slot_0001; CREATE TABLE t (); GRANT SELECT ON t TO {name}_slot_0001"
        ))
        .await?;
    let look = witness.connect().await?;
    let count = "SELECT (SELECT count(*) FROM pg_database WHERE datname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname LIKE $1 || '%')";
    assert_eq!(look.query_one(count, &[&name]).await?.get::<_, i64>(0), 2);
    drop(database);
    assert_eq!(look.query_one(count, &[&name]).await?.get::<_, i64>(0), 0);
    Ok(())
}

#[tokio::test]
async fn a_private_cluster_keeps_its_data_over_a_restart_and_a_crash() -> Result<()> {
    let database = TestDatabase::private(&[]).await?;
    database
        .connect()
        .await?
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        .await?;
    let mut cluster = database.cluster().expect("it is private").lock().await;
    cluster.restart()?;
    cluster.crash();
    cluster.start()?;
    let row = database.connect().await?.query_one("SELECT n FROM kept", &[]).await?;
    assert_eq!(row.get::<_, i32>(0), 7);
    Ok(())
}
