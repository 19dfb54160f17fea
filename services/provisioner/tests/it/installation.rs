//! `provisioner install`, and starts that cannot go well.

use anyhow::Result;
use provisioner::install;
use service::config::Secret;
use testkit::TestDatabase;

use crate::support::{Replica, database, installation, session, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_again_repairs_and_a_running_provisioner_goes_on() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let look = database.connect().await?;
    look.batch_execute(&format!(
        "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC;
         ALTER ROLE {}_tenant INHERIT",
        database.name()
    ))
    .await?;
    let again = install::Config {
        orchestrator: None,
        provisioner: None,
        tenant: None,
        ..installation(&database)
    };
    assert_eq!(install::install(&again).await?, database.name());
    let inherit = format!(
        "SELECT rolinherit FROM pg_roles WHERE rolname = '{}_tenant'",
        database.name()
    );
    assert!(!value::<bool>(&look, &inherit).await?);
    let tenant = database.connect_as("tenant").await?;
    assert!(
        tenant
            .batch_execute("SELECT set_config('role', 'none', true)")
            .await
            .is_err()
    );
    replica.provision(session(), &[]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_scram_verifiers_and_sees_no_password() -> Result<()> {
    let database = database().await?;
    let look = database.connect().await?;
    let stored = format!(
        "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolname LIKE '{}\\_%' AND rolcanlogin",
        database.name()
    );
    assert!(value::<bool>(&look, &stored).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_install_is_told_in_one_sentence() -> Result<()> {
    let database = database().await?;
    let config = install::Config {
        url: Secret::new(database.url_as("provisioner")?),
        ..installation(&database)
    };
    let error = format!("{:#}", install::install(&config).await.expect_err("no superuser"));
    assert!(error.contains("is no superuser") && !error.contains('\n'), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_installation_needs_all_passwords() -> Result<()> {
    let database = TestDatabase::create().await?;
    let config = install::Config {
        tenant: None,
        ..installation(&database)
    };
    let error = format!(
        "{:#}",
        install::install(&config).await.expect_err("a password is missing")
    );
    assert!(error.contains("_tenant does not exist yet"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_prepared_is_told_so() -> Result<()> {
    let database = TestDatabase::create().await?;
    let look = database.connect().await?;
    look.batch_execute(&format!(
        "CREATE ROLE {0}_provisioner LOGIN PASSWORD '{1}'",
        database.name(),
        database.secrets().get("PROVISIONER_DB_PASSWORD")
    ))
    .await?;
    let Err(error) = Replica::start(&database, &[]).await else {
        panic!("it cannot start")
    };
    assert!(format!("{error:#}").contains("provisioner install"), "{error:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() -> Result<()> {
    let database = database().await?;
    let replicas = crate::support::together((0..4).map(|_| Replica::start(&database, &[]))).await;
    for replica in replicas {
        replica?;
    }
    let look = database.connect().await?;
    assert_eq!(
        value::<i64>(&look, "SELECT count(*) FROM provisioner.migrations").await?,
        5
    );
    Ok(())
}
