//! What one session may take: requests, sign-ins, bodies, addresses, time, rows.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, stream};
use http::Method;
use serde_json::json;
use testkit::{Api, Reply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::harness::{App, Session};

const FAQS: &str = "/api/v1/faqs";

fn wait(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap_or(0)
}

#[tokio::test]
async fn requests_of_a_session_are_counted_and_those_of_another_are_not() -> Result<()> {
    let app = App::builder()
        .set("SESSION_REQUESTS_PER_MINUTE", "5")
        .start(&[])
        .await?;
    let other = app.session(&[]).await?;
    for _ in 0..5 {
        app.visitor().get(FAQS).await?.data(200);
    }
    let refused = app.visitor().get(FAQS).await?;
    refused.error(429, "RATE_LIMITED");
    assert!((1..=60).contains(&wait(&refused)), "{}", wait(&refused));
    // Whether there is such a route is told first.
    app.visitor().get("/api/v1/faqs/a/b").await?.error(404, "NOT_FOUND");
    other.visitor().get(FAQS).await?.data(200);
    Ok(())
}

#[tokio::test]
async fn writes_under_auth_are_counted_apart() -> Result<()> {
    let app = App::builder().set("AUTH_WRITES_PER_MINUTE", "3").start(&[]).await?;
    let login = json!({"email": "nobody@example.org", "password": "wrong"});
    for _ in 0..3 {
        let refused = app.visitor().post("/api/v1/auth/login", &login).await?;
        refused.error(401, "INVALID_CREDENTIALS");
    }
    // All of them share one bucket; reading does not count.
    let forgot = json!({"email": "nobody@example.org"});
    let refused = app.visitor().post("/api/v1/auth/forgot-password", &forgot).await?;
    refused.error(429, "RATE_LIMITED");
    assert!((1..=60).contains(&wait(&refused)), "{}", wait(&refused));
    app.user().await?.get("/api/v1/auth/me").await?.data(200);
    Ok(())
}

#[tokio::test]
async fn an_address_has_four_kibibytes() -> Result<()> {
    let app = App::start(&[]).await?;
    let path = |length: usize| format!("{FAQS}?x={}", "x".repeat(length - FAQS.len() - 3));
    app.visitor().get(&path(4096)).await?.data(200);
    app.visitor().get(&path(4097)).await?.error(413, "PAYLOAD_TOO_LARGE");
    Ok(())
}

/// Most clients write the whole body before they look at the answer, which must not get lost.
#[tokio::test]
async fn ten_megabytes_are_refused_in_words() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let body = vec![b'x'; 10 * 1024 * 1024];
    for (path, media) in [
        (FAQS, "application/json"),
        ("/api/v1/uploads", "multipart/form-data; boundary=x"),
    ] {
        let refused = staff.raw(Method::POST, path, media, body.clone()).await?;
        refused.error(413, "PAYLOAD_TOO_LARGE");
    }
    let address = app.bare().base().trim_start_matches("http://").to_owned();
    let token = app.token.reveal();
    // The second announces no length.
    let whole = [b"".as_slice(), &body, b""].concat();
    let chunks = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    for (header, body) in [
        (format!("Content-Length: {}", whole.len()), whole),
        ("Transfer-Encoding: chunked".to_owned(), chunks),
    ] {
        let mut socket = TcpStream::connect(&address).await?;
        let head = format!(
            "POST /api/v1/contact HTTP/1.1\r\nHost: x\r\nX-Preview-Session: {token}\r\n\
             Content-Type: application/json\r\n{header}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&body).await?;
        let mut answer = vec![0; 4096];
        let read = socket.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_asked_to_come_again() -> Result<()> {
    let app = App::builder()
        .set("REQUEST_TIMEOUT_SECONDS", "1")
        .set("STATEMENT_TIMEOUT_MS", "60000")
        .start(&[])
        .await?;
    let gate = app.database().connect().await?;
    let table = format!("{}.faqs", app.schema.quoted());
    gate.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .await?;
    let refused = app.visitor().get(FAQS).await?;
    refused.error(503, "UNAVAILABLE");
    assert!(wait(&refused) >= 1, "no Retry-After");
    gate.batch_execute("ROLLBACK").await?;
    Ok(())
}

/// Status and code of each answer, sorted.
fn outcomes(replies: &[Reply]) -> Vec<(u16, String)> {
    let outcome = |reply: &Reply| {
        let code = reply.answer.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (reply.status().as_u16(), code)
    };
    let mut outcomes: Vec<_> = replies.iter().map(outcome).collect();
    outcomes.sort();
    outcomes
}

fn count(outcomes: &[(u16, String)], status: u16, code: &str) -> usize {
    let wanted = (status, code.to_owned());
    outcomes.iter().filter(|outcome| **outcome == wanted).count()
}

#[tokio::test]
async fn a_table_fills_to_its_last_row_however_many_write() -> Result<()> {
    let app = App::builder().set("MAX_ROWS_PER_TABLE", "20").start(&[]).await?;
    app.sql(
        "INSERT INTO faqs (id, question, answer) \
         SELECT gen_random_uuid(), 'Q', 'A' FROM generate_series(1, 20 - 3 - (SELECT count(*) FROM faqs))",
    )
    .await?;
    let staff = app.staff().await?;
    let write = |api: Api| async move { api.post(FAQS, &json!({"question": "Q", "answer": "A"})).await };
    // All have written their row when they come to the audit log.
    let replies = app.race_at("audit_logs", (0..10).map(|_| write(staff.clone()))).await?;
    let outcomes = outcomes(&replies);
    assert_eq!(count(&outcomes, 201, ""), 3, "{outcomes:?}");
    assert_eq!(count(&outcomes, 409, "ROW_LIMIT_REACHED"), 7, "{outcomes:?}");
    assert_eq!(app.value("SELECT count(*) FROM faqs").await?, "20");
    Ok(())
}

#[tokio::test]
async fn of_changes_from_one_version_one_is_made() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let made = staff
        .post(FAQS, &json!({"question": "Q", "answer": "A"}))
        .await?
        .data(201);
    let path = format!("{FAQS}/{}", made["id"].as_str().unwrap_or_default());
    let change = |n: usize| {
        let (api, path) = (staff.clone(), path.clone());
        async move {
            let body = json!({"question": format!("Q{n}"), "version": 1});
            api.patch(&path, &body).await
        }
    };
    let replies = app.race((0..8).map(change)).await?;
    let outcomes = outcomes(&replies);
    assert_eq!(count(&outcomes, 200, ""), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, 409, "VERSION_CONFLICT"), 7, "{outcomes:?}");
    let winner = replies
        .iter()
        .find(|reply| reply.status() == 200)
        .map(|reply| reply.data(200));
    let kept = staff.get(&path).await?.data(200);
    assert_eq!(kept["version"], 2);
    assert_eq!(winner, Some(kept));
    Ok(())
}

/// Sends so many registrations at once. Whoever is told that the service is busy comes again.
async fn register(session: &Session, count: usize) -> Result<Vec<Reply>> {
    let call = |n: usize| async move {
        let body = json!({"email": format!("p{n}@example.org"), "password": "Preview123", "name": "P"});
        loop {
            let reply = session.visitor().post("/api/v1/auth/register", &body).await?;
            if reply.status() != 503 {
                return Ok(reply);
            }
            reply.error(503, "UNAVAILABLE");
            tokio::time::sleep(Duration::from_secs(wait(&reply))).await;
        }
    };
    let replies: Vec<Result<Reply>> = stream::iter(0..count).map(call).buffer_unordered(250).collect().await;
    replies.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_accounts_of_a_thousand_are_made_and_no_more() -> Result<()> {
    let app = App::start(&[]).await?;
    app.sql(
        "INSERT INTO users (id, email, password_hash, name) SELECT gen_random_uuid(), 'x' || n, '', 'X' \
         FROM generate_series(1, 1000 - 10 - (SELECT count(*) FROM users)) AS n",
    )
    .await?;
    let outcomes = outcomes(&register(&app, 30).await?);
    assert_eq!(count(&outcomes, 201, ""), 10, "{outcomes:?}");
    assert_eq!(count(&outcomes, 409, "ROW_LIMIT_REACHED"), 20, "{outcomes:?}");
    assert_eq!(app.value("SELECT count(*) FROM users").await?, "1000");
    // Each is whole: with its sign-in.
    assert_eq!(app.value("SELECT count(*) FROM auth_sessions").await?, "10");
    Ok(())
}

/// With the product's limit most of them are asked to wait, and nothing breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_registrations_at_once_are_slowed_down() -> Result<()> {
    let app = App::builder().set("AUTH_WRITES_PER_MINUTE", "60").start(&[]).await?;
    let replies = register(&app, 1000).await?;
    assert!(replies.iter().all(|reply| reply.status() != 429 || wait(reply) >= 1));
    let outcomes = outcomes(&replies);
    let made = count(&outcomes, 201, "");
    assert!(made > 0, "{outcomes:?}");
    assert_eq!(made + count(&outcomes, 429, "RATE_LIMITED"), 1000, "{outcomes:?}");
    assert_eq!(app.value("SELECT count(*) FROM users").await?, (made + 6).to_string());
    tokio::time::timeout(Duration::from_secs(10), app.visitor().get(FAQS))
        .await??
        .data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_requests_all_wait_leaves_connections_to_others() -> Result<()> {
    let app = App::builder()
        .set("SESSION_REQUESTS_AT_ONCE", "2")
        .pool(4)
        .start(&[])
        .await?;
    let other = app.session(&[]).await?;
    let gate = app.database().connect().await?;
    let table = format!("{}.faqs", app.schema.quoted());
    gate.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .await?;
    let mut waiting = JoinSet::new();
    for _ in 0..12 {
        let visitor = app.visitor().clone();
        waiting.spawn(async move { visitor.get(FAQS).await });
    }
    let queued = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    while gate.query_one(&queued, &[]).await?.get::<_, i64>(0) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..10 {
        other.visitor().get(FAQS).await?.data(200);
    }
    assert_eq!(
        gate.query_one(&queued, &[]).await?.get::<_, i64>(0),
        2,
        "the others wait outside"
    );
    gate.batch_execute("COMMIT").await?;
    for reply in waiting.join_all().await {
        reply?.data(200);
    }
    Ok(())
}
