//! No row crosses from one session to another: PostgreSQL refuses it, and ten thousand interleaved requests show none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement,
    sqlx::{self, postgres::PgDatabaseError},
};
use serde_json::{Value, json};
use tenant_api::tenant::transaction::Access;
use testkit::Api;
use tokio::task::JoinSet;

use crate::harness::{App, Session, eventually};

/// The SQLSTATE of a refusal.
fn state(error: &DbErr) -> String {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error else {
        panic!("not from the database: {error}")
    };
    match &**error {
        sqlx::Error::Database(error) => error.downcast_ref::<PgDatabaseError>().code().to_owned(),
        other => panic!("not from the database: {other}"),
    }
}

/// Runs one statement in a transaction of the session, as an injection into a handler's statement would.
async fn injected(session: &Session, sql: &str) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    let tx = session.tx(Access::ReadWrite, Duration::from_secs(5)).await;
    tx.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await
}

const DENIED: &str = "42501";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_in_one_sessions_transaction_reaches_no_other_session() -> Result<()> {
    let app = App::start(&[]).await?;
    let other = app.session(&[]).await?;
    let (theirs, quoted) = (other.schema.quoted(), other.tenant().await.role.quoted());
    for (sql, expected) in [
        (format!("SELECT * FROM {theirs}.users"), DENIED),
        (format!("UPDATE {theirs}.users SET name = 'x'"), DENIED),
        (format!("INSERT INTO users SELECT * FROM {theirs}.users"), DENIED),
        (format!("DELETE FROM {theirs}.notifications"), DENIED),
        // Statements within functions run as the same role.
        (
            format!("SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM {theirs}.users')"),
            DENIED,
        ),
        (
            format!("SELECT query_to_xml('SELECT * FROM {theirs}.users', true, false, '')"),
            DENIED,
        ),
        (
            format!("SELECT table_to_xml('{theirs}.users', true, false, '')"),
            DENIED,
        ),
        (
            format!("SELECT schema_to_xml('{}', true, false, '')", other.schema),
            DENIED,
        ),
        // A second statement does not fit into the protocol that handlers use.
        (format!("SELECT 1; SET LOCAL ROLE {quoted}"), "42601"),
        (
            format!("SELECT query_to_xml('SET LOCAL search_path = {theirs}', true, false, '')"),
            "0A000",
        ),
        (
            format!("SELECT query_to_xml('DO $$ BEGIN SET LOCAL ROLE {quoted}; END $$', true, false, '')"),
            "0A000",
        ),
        ("SELECT * FROM pg_stats".to_owned(), "42501"),
    ] {
        match injected(&app, &sql).await {
            Ok(rows) => panic!("allowed, {} rows: {sql}", rows.len()),
            Err(error) => assert_eq!(state(&error), expected, "{sql}: {error}"),
        }
    }

    // What the catalogues tell of others: nothing of their rows, nothing of their statements.
    let statements = "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query NOT IN ('', '<insufficient privilege>')";
    assert!(injected(&app, statements).await?.is_empty());
    // And it is no accident of the statement: the same works at home.
    let own = format!("SELECT * FROM {}.users", app.schema.quoted());
    assert_eq!(injected(&app, &own).await?.len(), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_is_let_out_of_its_cage_by_no_statement() -> Result<()> {
    let app = App::start(&[]).await?;
    let database = app.database();
    let name = database.name();
    let login = database.connect_as("tenant").await?;
    let scope = format!("SET LOCAL ROLE {}", app.tenant().await.role.quoted());
    let superuser: String = database
        .connect()
        .await?
        .query_one("SELECT current_user", &[])
        .await?
        .get(0);
    for statement in [
        // Roles that it is no member of.
        format!("SET ROLE {superuser}"),
        format!("SET ROLE {name}_provisioner"),
        format!("SET LOCAL ROLE {name}_orchestrator"),
        "SET ROLE pg_read_all_data".to_owned(),
        "SET ROLE pg_monitor".to_owned(),
        format!("SET SESSION AUTHORIZATION {superuser}"),
        format!("GRANT {name}_provisioner TO {name}_tenant"),
        format!("ALTER ROLE {name}_tenant SUPERUSER"),
        // The planes above it.
        "SELECT * FROM control.sessions".to_owned(),
        "SELECT * FROM provisioner.slots".to_owned(),
        "SELECT * FROM pg_authid".to_owned(),
        "SELECT * FROM pg_shadow".to_owned(),
        // The machine.
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "SELECT pg_read_binary_file('PG_VERSION')".to_owned(),
        "SELECT pg_ls_dir('.')".to_owned(),
        "SELECT lo_import('/etc/passwd')".to_owned(),
        "COPY (SELECT 1) TO '/tmp/livepreview'".to_owned(),
        "COPY (SELECT 1) TO PROGRAM 'true'".to_owned(),
        // The server.
        "SELECT pg_reload_conf()".to_owned(),
        "CREATE EXTENSION file_fdw SCHEMA public".to_owned(),
        "CREATE TEMPORARY TABLE hidden (secret text)".to_owned(),
        "CREATE TEMPORARY SEQUENCE hidden".to_owned(),
        "SELECT set_config('role', 'none', false)".to_owned(),
        "SELECT set_config('search_path', 'pg_catalog', false)".to_owned(),
        "SET session_replication_role = 'replica'".to_owned(),
    ] {
        for begin in ["BEGIN".to_owned(), format!("BEGIN; {scope}")] {
            let result = login.batch_execute(&format!("{begin}; {statement}")).await;
            login.batch_execute("ROLLBACK").await?;
            let code = match &result {
                Ok(()) => panic!("allowed: {begin}; {statement}"),
                Err(error) => error.code().map(|code| code.code().to_owned()),
            };
            assert_eq!(code.as_deref(), Some(DENIED), "{begin}; {statement}: {result:?}");
        }
    }
    // In a slot's role, other backends of the same login are out of reach.
    let pid: i32 = login.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let error = injected(&app, &format!("SELECT pg_terminate_backend({pid})")).await;
    assert_eq!(state(&error.expect_err("must be refused")), DENIED);
    Ok(())
}

/// One visitor's view of a session in the great interleaving.
struct Member {
    session: Session,
    staff: Api,
    /// Stands in every row that requests look at.
    mark: String,
    products: Vec<String>,
    categories: Vec<String>,
    acknowledged: AtomicU64,
}

const SESSIONS: usize = 20;
const REQUESTS: u64 = 10_000;
const WORKERS: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_crosses_in_ten_thousand_interleaved_requests_over_four_connections() -> Result<()> {
    let app = App::builder().pool(4).start(&["ecommerce"]).await?;
    let mut members = Vec::new();
    for _ in 0..SESSIONS {
        members.push(member(app.session(&["ecommerce"]).await?).await?);
    }
    let members: Arc<[Member]> = members.into();
    let started = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (members, next) = (Arc::clone(&members), Arc::clone(&next));
        workers.spawn(async move {
            let mut hung_up = 0u64;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= REQUESTS {
                    return anyhow::Ok(hung_up);
                }
                hung_up += u64::from(request(&members, number).await?);
            }
        });
    }
    let mut hung_up = 0;
    while let Some(done) = workers.join_next().await {
        hung_up += done??;
    }
    println!("{REQUESTS} requests in {:?}, {hung_up} hung up", started.elapsed());
    assert!(
        hung_up > REQUESTS / 50,
        "{hung_up} clients vanished: the test proves less than it should"
    );

    // What the tables say, looked at from above.
    for member in members.iter() {
        let foreign = format!(
            "SELECT (SELECT count(*) FROM ecommerce_products WHERE summary IS DISTINCT FROM '{0}')
                  + (SELECT count(*) FROM ecommerce_categories WHERE description IS DISTINCT FROM '{0}')",
            member.mark
        );
        assert_eq!(member.session.value(&foreign).await?, "0");
        let created = "SELECT count(*) FROM ecommerce_categories WHERE name LIKE 'Created %'";
        let acknowledged = member.acknowledged.load(Ordering::Relaxed).to_string();
        assert_eq!(member.session.value(created).await?, acknowledged);
    }
    eventually("all connections are at rest", async || {
        app.value(&resting(&app)).await.is_ok_and(|count| count == "0")
    })
    .await;
    let (connections, _) = app.server().pool.level();
    assert!(connections <= 4, "{connections} connections");
    Ok(())
}

/// Counts backends of the tenant login that are not at rest.
fn resting(app: &App) -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}_tenant' AND state <> 'idle'",
        app.database().name()
    )
}

async fn member(session: Session) -> Result<Member> {
    let mark = session.id.to_string();
    session
        .sql(&format!(
            "UPDATE ecommerce_products SET summary = '{mark}', status = 'active';
             UPDATE ecommerce_categories SET description = '{mark}'"
        ))
        .await?;
    let ids = async |table: &str| -> Result<Vec<String>> {
        let rows = session.sql(&format!("SELECT id FROM {table}")).await?;
        Ok(rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
    };
    Ok(Member {
        products: ids("ecommerce_products").await?,
        categories: ids("ecommerce_categories").await?,
        staff: session.staff().await?,
        acknowledged: AtomicU64::new(0),
        session,
        mark,
    })
}

/// One request of the mix; the number decides which, so that a failure can be seen again. True: its client vanished.
async fn request(members: &[Member], number: u64) -> Result<bool> {
    let random = scramble(number);
    let count = members.len();
    let pick = |of: usize, shift: u32| usize::try_from((random >> shift) % of.max(1) as u64).unwrap_or(0);
    let member = &members[pick(count, 8)];
    let visitor = member.session.visitor();
    match random % 100 {
        0..50 => {
            let (of, mark) = if random % 100 < 5 {
                ("products", "summary")
            } else {
                ("categories", "description")
            };
            let page = 1 + pick(2, 24);
            let path = format!("/api/v1/ecommerce/{of}?limit=3&page={page}&sort=name");
            let (rows, _) = visitor.get(&path).await?.list();
            ensure!(
                rows.iter().all(|row| row[mark] == member.mark),
                "foreign rows: {rows:?}"
            );
        }
        50..55 => {
            let id = &member.products[pick(member.products.len(), 24)];
            let row = visitor
                .get(&format!("/api/v1/ecommerce/products/{id}"))
                .await?
                .data(200);
            ensure!(row["summary"] == member.mark, "a foreign row: {row}");
        }
        55..75 => {
            let id = &member.categories[pick(member.categories.len(), 24)];
            let row = visitor
                .get(&format!("/api/v1/ecommerce/categories/{id}"))
                .await?
                .data(200);
            ensure!(row["description"] == member.mark, "a foreign row: {row}");
        }
        75..85 => {
            // Another session's id is nobody's id here.
            let other = &members[(pick(count, 8) + 1 + pick(count - 1, 16)) % count];
            let id = &other.categories[pick(other.categories.len(), 24)];
            visitor
                .get(&format!("/api/v1/ecommerce/categories/{id}"))
                .await?
                .error(404, "NOT_FOUND");
        }
        85..90 => {
            let id = &member.categories[pick(member.categories.len(), 24)];
            let change = json!({ "position": random % 1000 });
            let path = format!("/api/v1/ecommerce/categories/{id}");
            let row = member.staff.patch(&path, &change).await?.data(200);
            ensure!(row["description"] == member.mark, "a foreign row: {row}");
        }
        90..94 => {
            let body = category("Created", number, &member.mark);
            let row = member
                .staff
                .post("/api/v1/ecommerce/categories", &body)
                .await?
                .data(201);
            ensure!(row["description"] == member.mark, "a foreign row: {row}");
            member.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        _ => {
            let body = category("Vanished", number, &member.mark);
            let post = member.staff.post("/api/v1/ecommerce/categories", &body);
            // Not a wait for something: the moment at which the client vanishes is meant to vary.
            let patience = Duration::from_micros((random >> 32) % 12_000);
            return Ok(tokio::time::timeout(patience, post).await.is_err());
        }
    }
    Ok(false)
}

fn category(kind: &str, number: u64, mark: &str) -> Value {
    json!({ "name": format!("{kind} {number}"), "slug": format!("c-{number}"), "description": mark })
}

/// SplitMix64: numbers that look random and are the same in every run.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_not_the_sessions_own_answers_nothing() -> Result<()> {
    let app = App::builder()
        .set("ISOLATION_CHECK_EVERY", "1")
        .pool(2)
        .start(&[])
        .await?;
    let other = app.session(&[]).await?;
    app.visitor().get("/api/v1/faqs").await?.data(200);

    let stranger = other.tenant().await.role.to_string();
    app.sql(&format!(
        "CREATE OR REPLACE VIEW slot_identity AS SELECT '{stranger}'::text AS role"
    ))
    .await?;

    for _ in 0..3 {
        let reply = app.visitor().get("/api/v1/faqs").await?;
        reply.error(500, "INTERNAL");
        assert!(!reply.to_string().contains(&stranger), "{reply}");
        other.visitor().get("/api/v1/faqs").await?.data(200);
    }
    Ok(())
}
