//! The steady state: sessions come and go, and PostgreSQL's catalogues do not notice.

use anyhow::Result;
use domain::SessionId;
use testkit::TestDatabase;
use tokio_postgres::Client;

use crate::support::{Replica, assert_in_order, database, schema, session, value};

/// What the sessions choose, one after another.
const CHOICES: [&[&str]; 4] = [
    &["ecommerce"],
    &["lms", "booking"],
    &[],
    &["helpdesk", "invoicing", "events", "tasks"],
];
/// The catalogues that making and dropping tables, schemas and roles would fill.
const CATALOGUES: [&str; 10] = [
    "pg_namespace",
    "pg_class",
    "pg_attribute",
    "pg_type",
    "pg_index",
    "pg_constraint",
    "pg_depend",
    "pg_shdepend",
    "pg_authid",
    "pg_auth_members",
];

/// Writes down the kind of every statement that changes the catalogues, also where triggers are off.
const WITNESS: &str = "
    GRANT USAGE ON SCHEMA public TO PUBLIC;
    CREATE TABLE public.ddl (tag text NOT NULL);
    CREATE FUNCTION public.witness() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN INSERT INTO public.ddl VALUES (tg_tag); END $$;
    CREATE EVENT TRIGGER witness ON ddl_command_end EXECUTE FUNCTION public.witness();
    CREATE EVENT TRIGGER witness_of_drops ON sql_drop EXECUTE FUNCTION public.witness();
    ALTER EVENT TRIGGER witness ENABLE ALWAYS;
    ALTER EVENT TRIGGER witness_of_drops ENABLE ALWAYS";

/// Rows that belong to this database, and bytes after VACUUM, of each catalogue. What all databases share is counted by
/// our names, and its size left out: other tests make roles at the same time.
async fn catalogues(client: &Client, database: &TestDatabase) -> Result<Vec<(&'static str, i64, i64)>> {
    let ours = format!("'^{}_'", database.name());
    let mut all = Vec::new();
    for name in CATALOGUES {
        client.batch_execute(&format!("VACUUM pg_catalog.{name}")).await?;
        let (which, shared) = match name {
            "pg_authid" => (format!("rolname ~ {ours}"), true),
            "pg_auth_members" => (format!("pg_get_userbyid(roleid) ~ {ours}"), true),
            "pg_shdepend" => (
                "dbid = (SELECT oid FROM pg_database WHERE datname = current_database())".to_owned(),
                true,
            ),
            _ => ("true".to_owned(), false),
        };
        let rows = value(client, &format!("SELECT count(*) FROM pg_catalog.{name} WHERE {which}")).await?;
        let bytes = format!("SELECT pg_total_relation_size('pg_catalog.{name}')");
        let bytes = if shared { 0 } else { value(client, &bytes).await? };
        all.push((name, rows, bytes));
    }
    Ok(all)
}

/// What a visitor leaves behind: rows of their own, changed and deleted ones.
async fn visit(tenant: &Client, session: SessionId, role: &str) -> Result<()> {
    tenant
        .batch_execute(&format!(
            "BEGIN; SET LOCAL ROLE {role}; SET LOCAL search_path = {};
             INSERT INTO faqs (id, question, answer)
                SELECT gen_random_uuid(), 'Question ' || n, 'Answer' FROM generate_series(1, 20) AS n;
             UPDATE users SET name = name || ' the second'; DELETE FROM notifications; COMMIT",
            schema(session)
        ))
        .await?;
    Ok(())
}

/// Sessions come, are visited, and go. Of seven two only look.
async fn live(replica: &Replica, tenant: &Client, count: usize) -> Result<()> {
    for number in 0..count {
        let id = session();
        let home = replica.provision(id, CHOICES[number % CHOICES.len()]).await?;
        if number % 7 < 5 {
            visit(tenant, id, &home.role_name).await?;
        }
        replica.drop_schema(id).await?;
    }
    replica
        .wait("nothing is under way", |pool| pool.gone + pool.preparing == 0)
        .await?;
    Ok(())
}

/// Rows in ready slots that are no demo data of theirs.
async fn strange_rows(client: &Client) -> Result<i64> {
    let schemas: Vec<String> = value(
        client,
        "SELECT array_agg(schema_name) FROM provisioner.slots WHERE state = 'ready'",
    )
    .await?;
    let counts: Vec<String> = schemas
        .iter()
        .flat_map(|schema| {
            modules::table_names()
                .iter()
                .map(move |table| format!("{schema}.{table}"))
        })
        .map(|table| format!("(SELECT count(*) FROM {table})"))
        .collect();
    let demo = "(SELECT coalesce(sum(furnished_rows), 0)::bigint FROM provisioner.slots WHERE state = 'ready')";
    // In one statement: a slot may just be being furnished.
    value(client, &format!("SELECT {} - {demo}", counts.join(" + "))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_200_sessions_the_catalogues_are_as_after_20_and_nothing_but_names_was_changed() -> Result<()> {
    steady("0").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_are_when_slots_hold_demo_data_ahead() -> Result<()> {
    steady("600").await
}

async fn steady(fresh: &str) -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled_with(&database, 2, &[("POOL_FRESH_SECONDS", fresh)]).await?;
    let (look, tenant) = (database.connect().await?, database.connect_as("tenant").await?);
    live(&replica, &tenant, 20).await?;
    look.batch_execute(WITNESS).await?;
    let before = catalogues(&look, &database).await?;
    for _ in 0..9 {
        live(&replica, &tenant, 20).await?;
        // As autovacuum does, only that a test cannot wait for it.
        look.batch_execute("VACUUM pg_catalog.pg_namespace").await?;
    }

    let tags: Vec<String> = value(&look, "SELECT array_agg(DISTINCT tag) FROM public.ddl").await?;
    assert_eq!(tags, ["ALTER SCHEMA"], "the only DDL is renames");
    let renames: i64 = value(&look, "SELECT count(*) FROM public.ddl").await?;
    assert_eq!(renames, 2 * 180, "a session moves in, it ends");
    for (before, after) in before.iter().zip(catalogues(&look, &database).await?) {
        assert_eq!(before.1, after.1, "rows of {}", after.0);
        assert!(
            before.2 >= after.2,
            "{} grew from {} to {} bytes",
            after.0,
            before.2,
            after.2
        );
    }
    assert_eq!(strange_rows(&look).await?, 0);
    let roles = format!(
        "SELECT count(*) - 64 FROM pg_roles WHERE rolname ~ '^{}_slot_'",
        database.name()
    );
    assert_eq!(value::<i64>(&look, &roles).await?, 0, "a role without a slot");
    assert_in_order(&look).await
}
