//! What the tenant login may and may not do, as PostgreSQL itself sees it.

use anyhow::Result;
use tokio_postgres::{Client, error::SqlState};

use crate::support::{Replica, database, session, value};

async fn refused(client: &Client, statements: &str) -> SqlState {
    let result = client.batch_execute(statements).await;
    let _ = client.batch_execute("ROLLBACK").await;
    match result {
        Ok(()) => panic!("allowed: {statements}"),
        Err(error) => error.code().cloned().unwrap_or_else(|| panic!("{statements}: {error}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_login_reaches_a_slot_only_in_its_role_and_no_other_slot_then() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let mine = replica.provision(session(), &[]).await?;
    let other = replica.provision(session(), &[]).await?;
    let tenant = database.connect_as("tenant").await?;

    let scope = format!(
        "BEGIN; SET LOCAL ROLE {}; SET LOCAL search_path = {}",
        mine.role_name, mine.schema_name
    );
    tenant.batch_execute(&scope).await?;
    assert_eq!(value::<i64>(&tenant, "SELECT count(*) FROM users").await?, 6);
    tenant
        .batch_execute("UPDATE users SET name = 'Someone'; DELETE FROM notifications; COMMIT")
        .await?;

    let denied = SqlState::INSUFFICIENT_PRIVILEGE;
    let theirs = &other.schema_name;
    // By qualified name, outside and inside the scope.
    assert_eq!(refused(&tenant, &format!("SELECT * FROM {theirs}.users")).await, denied);
    assert_eq!(
        refused(&tenant, &format!("{scope}; SELECT * FROM {theirs}.users")).await,
        denied
    );
    assert_eq!(
        refused(&tenant, &format!("{scope}; UPDATE {theirs}.users SET name = ''")).await,
        denied
    );
    // By search_path without the role: names of schemas without USAGE are passed over.
    let path = format!("BEGIN; SET LOCAL search_path = {theirs}; SELECT * FROM users");
    assert_eq!(refused(&tenant, &path).await, SqlState::UNDEFINED_TABLE);
    let path = format!("{scope}; SET LOCAL search_path = {theirs}; SELECT * FROM users");
    assert_eq!(refused(&tenant, &path).await, SqlState::UNDEFINED_TABLE);
    // Outside a transaction nothing is in sight.
    assert_eq!(refused(&tenant, "SELECT * FROM users").await, SqlState::UNDEFINED_TABLE);
    assert_eq!(refused(&tenant, "SELECT * FROM provisioner.slots").await, denied);
    assert_eq!(refused(&tenant, "SELECT provisioner.without_checks()").await, denied);
    // Statistics keep values of whoever lived in the slot before.
    assert_eq!(
        refused(&tenant, &format!("{scope}; SELECT * FROM pg_stats")).await,
        denied
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_injected_statement_cannot_leave_its_role() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let mine = replica.provision(session(), &[]).await?;
    let other = replica.provision(session(), &[]).await?;
    let tenant = database.connect_as("tenant").await?;
    let scope = format!(
        "BEGIN; SET LOCAL ROLE {}; SET LOCAL search_path = {}",
        mine.role_name, mine.schema_name
    );
    let role = &other.role_name;
    for (injected, state) in [
        (
            format!("SELECT set_config('role', '{role}', true)"),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
        (
            format!("UPDATE pg_settings SET setting = '{role}' WHERE name = 'role'"),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
        (
            format!("SELECT query_to_xml('SET LOCAL ROLE {role}', true, false, '')"),
            SqlState::FEATURE_NOT_SUPPORTED,
        ),
        (
            "SELECT query_to_xml('SELECT set_config(''role'', ''none'', true)', true, false, '')".to_owned(),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
        ("SELECT lo_create(0)".to_owned(), SqlState::INSUFFICIENT_PRIVILEGE),
        (
            "SELECT lo_from_bytea(0, 'x')".to_owned(),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
    ] {
        assert_eq!(
            refused(&tenant, &format!("{scope}; {injected}")).await,
            state,
            "{injected}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_login_makes_nothing_anywhere() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let mine = replica.provision(session(), &[]).await?;
    let tenant = database.connect_as("tenant").await?;
    let schema = &mine.schema_name;
    for scope in ["BEGIN".to_owned(), format!("BEGIN; SET LOCAL ROLE {}", mine.role_name)] {
        for statement in [
            "CREATE TEMP TABLE t ()".to_owned(),
            "CREATE SCHEMA s".to_owned(),
            "CREATE TABLE public.t ()".to_owned(),
            format!("CREATE TABLE {schema}.t ()"),
            format!("CREATE FUNCTION {schema}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            format!("ALTER TABLE {schema}.users ADD COLUMN extra int"),
            format!("TRUNCATE {schema}.users"),
            format!("DROP SCHEMA {schema} CASCADE"),
            "CREATE ROLE r".to_owned(),
        ] {
            let state = refused(&tenant, &format!("{scope}; {statement}")).await;
            assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE, "{scope}; {statement}");
        }
    }
    Ok(())
}
