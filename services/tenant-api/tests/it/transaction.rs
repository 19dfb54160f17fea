//! The transaction of a request under everything that can go wrong: afterwards each connection is as good as new.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use domain::RoleName;
use futures::future::{join_all, try_join_all};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::json;
use tenant_api::{
    http::failure::{Failure, judge},
    tenant::{
        Tenant,
        transaction::{Access, Tx},
    },
};
use tokio::task::JoinSet;

use crate::harness::{App, Session, eventually};

const PATIENT: Duration = Duration::from_secs(5);

async fn writing(session: &Session) -> Tx {
    session.tx(Access::ReadWrite, PATIENT).await
}

async fn number(tx: &Tx, sql: &str) -> Result<i64, DbErr> {
    let row = tx
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    row.ok_or(DbErr::RecordNotFound(sql.to_owned()))?.try_get_by(0)
}

/// A table in which tests write their marks.
async fn marks(session: &Session) -> Result<()> {
    let role = session.tenant().await.role.quoted();
    session
        .sql(&format!("CREATE TABLE marks (mark text); GRANT ALL ON marks TO {role}"))
        .await?;
    Ok(())
}

async fn mark(tx: &Tx, mark: &str) -> Result<(), DbErr> {
    let insert = Statement::from_sql_and_values(DbBackend::Postgres, "INSERT INTO marks VALUES ($1)", [mark.into()]);
    tx.execute_raw(insert).await.map(drop)
}

async fn count(session: &Session, condition: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM marks WHERE {condition}");
    Ok(session.value(&sql).await?.parse()?)
}

/// Every connection of the pool answers, is in no transaction and carries neither path nor role of a session.
async fn require_health(app: &App, size: usize) -> Result<()> {
    let login = format!("{}_tenant", app.database().name());
    eventually("all connections are at rest", async || {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}' AND state <> 'idle'");
        app.value(&sql).await.is_ok_and(|count| count == "0")
    })
    .await;
    // All at once, so that each has a connection of its own. A statement after ROLLBACK runs as a stray one would.
    let probes: Vec<Tx> = join_all((0..size).map(|_| writing(app))).await;
    try_join_all(probes.iter().map(|tx| number(tx, "SELECT 1::bigint"))).await?;
    for tx in &probes {
        tx.execute_unprepared("ROLLBACK").await?;
        let sql = "SELECT current_setting('search_path') AS path, current_user::text AS role, \
                   current_setting('statement_timeout') AS timeout";
        let row = tx
            .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await?;
        let row = row.expect("one row");
        let read = |column| row.try_get::<String>("", column);
        assert_eq!(
            (read("path")?, read("role")?, read("timeout")?),
            ("\"\"".to_owned(), login.clone(), "5s".to_owned())
        );
        let stray = number(tx, "SELECT count(*) FROM users").await;
        assert!(stray.is_err(), "a stray statement found a session: {stray:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_at_any_point_leave_nothing_behind() -> Result<()> {
    let app = Arc::new(App::builder().pool(4).start(&[]).await?);
    let sessions = Arc::new([
        app.session(&[]).await?,
        app.session(&[]).await?,
        app.session(&[]).await?,
    ]);
    for session in sessions.iter() {
        marks(session).await?;
    }
    let (kept, vanished) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..32u64 {
        let (sessions, kept, vanished) = (Arc::clone(&sessions), Arc::clone(&kept), Arc::clone(&vanished));
        clients.spawn(async move {
            for round in 0..100u64 {
                let random = client.wrapping_mul(7_919).wrapping_add(round.wrapping_mul(104_729));
                let session = &sessions[usize::try_from(random % 3)?];
                let name = session.id.to_string();
                if random % 4 == 0 {
                    let tx = writing(session).await;
                    mark(&tx, &format!("kept {name}")).await?;
                    ensure!(number(&tx, "SELECT count(*) FROM marks WHERE mark LIKE 'never%'").await? == 0);
                    tx.commit().await?;
                    kept.fetch_add(1, Ordering::Relaxed);
                } else {
                    let work = async {
                        let tx = writing(session).await;
                        mark(&tx, &format!("never {name}")).await?;
                        tx.execute_unprepared("SELECT pg_sleep(0.002)").await?;
                        mark(&tx, &format!("never {name}")).await
                    };
                    // Where it is cut off is meant to vary: waiting for a connection, in BEGIN, in a statement, after.
                    let patience = Duration::from_micros(random % 12_000);
                    vanished.fetch_add(
                        u64::from(tokio::time::timeout(patience, work).await.is_err()),
                        Ordering::Relaxed,
                    );
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    let vanished = vanished.load(Ordering::Relaxed);
    assert!(
        vanished > 500,
        "{vanished} vanished: the test proves less than it should"
    );
    let mut found = 0;
    for session in sessions.iter() {
        assert_eq!(count(session, "mark LIKE 'never%'").await?, 0);
        assert_eq!(count(session, &format!("mark <> 'kept {}'", session.id)).await?, 0);
        found += count(session, "true").await?;
    }
    assert_eq!(found, kept.load(Ordering::Relaxed));
    require_health(&app, 4).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_committed_is_not_there_after_an_error_or_a_panic() -> Result<()> {
    let app = App::builder().pool(2).start(&[]).await?;
    marks(&app).await?;
    let handler = async |fails: bool| -> Result<()> {
        let tx = writing(&app).await;
        mark(&tx, "written").await?;
        ensure!(!fails, "refused after the insert");
        tx.commit().await?;
        Ok(())
    };
    assert!(handler(true).await.is_err());
    assert_eq!(count(&app, "true").await?, 0);

    let tx = writing(&app).await;
    let mut task = JoinSet::new();
    task.spawn(async move {
        mark(&tx, "written").await.expect("an insert");
        panic!("as a handler may");
    });
    assert!(
        task.join_next()
            .await
            .is_some_and(|end| end.is_err_and(|error| error.is_panic()))
    );
    assert_eq!(count(&app, "true").await?, 0);

    handler(false).await?;
    assert_eq!(count(&app, "true").await?, 1);
    require_health(&app, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_that_fails_spoils_no_connection() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    let real = app.tenant().await;
    let unknown = Tenant {
        session: real.session,
        schema: real.schema.clone(),
        role: RoleName::parse("nobody_slot_0001")?,
        generation: 1,
        enabled: Vec::new(),
        ignored: Vec::new(),
        currency: "USD".into(),
        tier: "starter".into(),
        expires_at: real.expires_at,
    };
    let server = app.server();
    for _ in 0..3 {
        let tx = Tx::new(
            server.pool.clone(),
            server.lifecycle.clone(),
            &unknown,
            Access::ReadWrite,
            PATIENT,
        );
        let error = number(&tx, "SELECT 1::bigint")
            .await
            .expect_err("there is no such role");
        assert!(matches!(judge(error), Failure::Moved(_)));
        assert!(number(&tx, "SELECT 1::bigint").await.is_err(), "it has not begun");
        assert!(tx.commit().await.is_err());
        drop(tx);
        assert_eq!(number(&writing(&app).await, "SELECT count(*) FROM users").await?, 6);
    }
    require_health(&app, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_ended_and_its_transaction_with_it() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    marks(&app).await?;
    let tx = app.tx(Access::ReadWrite, Duration::from_millis(100)).await;
    mark(&tx, "before").await?;
    let started = Instant::now();
    let error = tx
        .execute_unprepared("SELECT pg_sleep(30)")
        .await
        .expect_err("it takes too long");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(judge(error), Failure::Fault(fault) if fault.code() == fault::codes::UNAVAILABLE));
    assert!(mark(&tx, "after").await.is_err());
    assert!(tx.commit().await.is_err());
    drop(tx);
    assert_eq!(count(&app, "true").await?, 0);
    require_health(&app, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_statement_that_nobody_minds_is_not_committed_over() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    marks(&app).await?;
    let tx = writing(&app).await;
    mark(&tx, "before").await?;
    let _ = tx.execute_unprepared("SELECT 1 / 0").await;
    assert!(
        tx.commit().await.is_err(),
        "PostgreSQL answers this COMMIT with ROLLBACK and no error"
    );
    drop(tx);
    assert_eq!(count(&app, "true").await?, 0);

    let reading = app.tx(Access::ReadOnly, PATIENT).await;
    assert!(mark(&reading, "written by a GET").await.is_err());
    drop(reading);
    require_health(&app, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lends_the_connection_to_others() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    marks(&app).await?;
    let tx = writing(&app).await;
    mark(&tx, "before").await?;
    tx.pause().await?;
    let other = writing(&app).await;
    assert_eq!(number(&other, "SELECT count(*) FROM marks").await?, 1);
    drop(other);
    mark(&tx, "after").await?;
    drop(tx);
    assert_eq!(
        count(&app, "true").await?,
        1,
        "what came after the pause was not committed"
    );
    require_health(&app, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_holds_no_connection() -> Result<()> {
    let app = App::builder().pool(1).start(&["ecommerce"]).await?;
    let visitor = app.visitor();
    let host = visitor.base().trim_start_matches("http://").to_owned();
    let body = json!({ "email": "vera@example.com", "password": "Wrong-password1" }).to_string();
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: {host}\r\nX-Preview-Session: {}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
        app.token.reveal(),
        body.len(),
        &body[..10]
    );
    // Three uploads that stall, and one connection.
    let stalled: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(&host)?;
            stream.write_all(head.as_bytes())?;
            std::io::Result::Ok(stream)
        })
        .collect::<Result<_, _>>()?;
    for _ in 0..20 {
        visitor.get("/api/v1/ecommerce/products").await?.data(200);
    }
    for mut stream in stalled {
        let rest = body[10..].to_owned();
        let answer = tokio::task::spawn_blocking(move || {
            stream.write_all(rest.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        })
        .await??;
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("INVALID_CREDENTIALS"),
            "{answer}"
        );
    }
    require_health(&app, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_connection_is_asked_to_come_again() -> Result<()> {
    let app = App::builder().pool(1).start(&["ecommerce"]).await?;
    let holder = writing(&app).await;
    number(&holder, "SELECT 1::bigint").await?;
    let reply = app.visitor().get("/api/v1/ecommerce/products").await?;
    reply.error(503, "UNAVAILABLE");
    assert_eq!(reply.header("retry-after"), "1");
    drop(holder);
    app.visitor().get("/api/v1/ecommerce/products").await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_postgresql_gave_up_is_a_matter_of_trying_again() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    let login = format!("{}_tenant", app.database().name());
    // New connections only, so before the first one.
    app.sql(&format!(
        "ALTER ROLE {login} SET idle_in_transaction_session_timeout = '100ms'"
    ))
    .await?;
    let tx = writing(&app).await;
    number(&tx, "SELECT 1::bigint").await?;
    eventually("PostgreSQL ends the idle transaction", async || {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}'");
        app.value(&sql).await.is_ok_and(|count| count == "0")
    })
    .await;
    let error = number(&tx, "SELECT 1::bigint").await.expect_err("it was ended");
    let text = error.to_string();
    assert!(
        matches!(judge(error), Failure::Fault(fault) if fault.code() == fault::codes::UNAVAILABLE),
        "{text}"
    );
    drop(tx);
    assert_eq!(number(&writing(&app).await, "SELECT 1::bigint").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_terminated_under_load_cost_a_repeat_and_never_a_500() -> Result<()> {
    let app = Arc::new(App::builder().pool(4).start(&["ecommerce"]).await?);
    let staff = app.staff().await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (staff, over) = (staff.clone(), Arc::clone(&over));
        clients.spawn(async move {
            let (mut written, mut refused) = (Vec::new(), 0u32);
            for round in 0..100 {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("kept-{client}-{round}");
                let reply = if round % 4 == 0 {
                    let body = json!({ "name": name, "slug": name });
                    staff.post("/api/v1/ecommerce/categories", &body).await?
                } else {
                    staff.get("/api/v1/ecommerce/products?limit=5").await?
                };
                match reply.status().as_u16() {
                    201 => written.push(name),
                    200 => {}
                    _ => {
                        reply.error(503, "UNAVAILABLE");
                        refused += 1;
                    }
                }
            }
            anyhow::Ok((written, refused))
        });
    }
    let kill = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{}_tenant'",
        app.database().name()
    );
    let mut killed = 0;
    while killed < 60 {
        killed += app.value(&kill).await?.parse::<u32>()?;
        // A pace, not a wait: connections must have time to be opened again.
        tokio::time::sleep(Duration::from_millis(40)).await;
        if clients.is_empty() {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    let (mut written, mut refused) = (Vec::new(), 0);
    while let Some(client) = clients.join_next().await {
        let (names, count) = client??;
        written.extend(names);
        refused += count;
    }
    println!(
        "{killed} backends terminated, {refused} requests refused, {} rows written",
        written.len()
    );
    assert!(killed > 10 && !written.is_empty());
    for name in &written {
        let sql = format!("SELECT count(*) FROM ecommerce_categories WHERE slug = '{name}'");
        assert_eq!(app.value(&sql).await?, "1", "{name} was acknowledged");
    }
    app.visitor().get("/api/v1/ecommerce/products").await?.data(200);
    Ok(())
}
