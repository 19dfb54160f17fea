//! From PENDING to READY, and what happens when something on the way is away, slow or unwilling.

use std::time::Duration;

use anyhow::Result;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use domain::Clock;
use serde_json::json;
use service::lifecycle::Signals;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tonic::Status;

use crate::harness::{Answer, Replica, World, shop, until};

/// Creates a session that cannot be prepared yet: it is kept, and the refusal says where.
async fn kept(replica: &Replica) -> Result<(String, Answer)> {
    let answer = replica.create().await?;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    );
    assert!(answer.retry_after() >= 1);
    let path = answer.header("location").trim_start_matches("/api/preview").to_owned();
    let kept = replica.get(&path).await?;
    assert_eq!(
        (kept.status, kept.text("schemaStatus").as_str()),
        (StatusCode::OK, "PENDING")
    );
    Ok((path, kept))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_provisioner_a_session_stays_pending_and_is_finished_when_it_is_back() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    world.fake.go_away().await;
    let (path, kept) = kept(&replica).await?;
    assert_eq!(kept.data("previewUrl"), &serde_json::Value::Null);
    let id = kept.text("id");
    assert_eq!(world.transitions(&id).await?, [">PENDING"]);
    world.fake.come_back().await?;
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await?;
    assert_eq!(
        world.transitions(&id).await?,
        [">PENDING", "PENDING>PROVISIONING", "PROVISIONING>READY"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provisioner_that_hangs_is_away() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let clock = Clock::Manual(world.clock.clone());
    let replica = world
        .replica_with(clock, |config| config.policy.patience = Duration::from_millis(50))
        .await?;
    let address = world.fake.url().trim_start_matches("http://").to_owned();
    world.fake.go_away().await;
    // It takes connections and says nothing.
    let hung = TcpListener::bind(address).await?;
    let (path, kept) = kept(&replica).await?;
    drop(hung);
    world.fake.come_back().await?;
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await?;
    assert_eq!(
        world.column(&kept.text("id"), BEGUN).await?.as_deref(),
        Some("preparation requested"),
        "it had not been before"
    );
    Ok(())
}

/// Why a session became PROVISIONING.
const BEGUN: &str = "(SELECT reason FROM control.session_transitions
                      WHERE session_id = sessions.id AND to_status = 'PROVISIONING')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_preparation_is_answered_with_provisioning_and_goes_on() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let clock = Clock::Manual(world.clock.clone());
    let replica = world
        .replica_with(clock, |config| config.policy.patience = Duration::from_millis(100))
        .await?;
    let gate = world.fake.shut_gate();
    let answer = replica.create().await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(
        (answer.text("schemaStatus").as_str(), answer.data("previewUrl")),
        ("PROVISIONING", &json!(null))
    );
    let path = format!("/sessions/{}", answer.text("sessionToken"));
    assert_eq!(replica.get(&path).await?.text("schemaStatus"), "PROVISIONING");
    gate.add_permits(1);
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_leaves_a_finished_session() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let gate = world.fake.shut_gate();
    let body = shop().to_string();
    let mut stream = TcpStream::connect(replica.parts.http).await?;
    let head = format!(
        "POST /api/preview/sessions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    until("the provisioner is asked", async || {
        Ok(!world.fake.state().calls.is_empty())
    })
    .await?;
    drop(stream);
    gate.add_permits(1);
    until("the session is READY", async || Ok(world.count("READY").await? == 1)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_fails_the_session_with_a_reason_and_undoes_it() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    world.fake.state().refusal = Some(Status::invalid_argument("relation \"secret_table\" does not exist"));
    let answer = replica.create().await?;
    assert_eq!(
        (answer.status, answer.text("schemaStatus").as_str()),
        (StatusCode::CREATED, "FAILED")
    );
    assert_eq!(answer.data("failure")["code"], "PROVISIONING_FAILED");
    assert!(!answer.body.to_string().contains("secret_table"));
    let (path, id) = (format!("/sessions/{}", answer.text("sessionToken")), answer.text("id"));
    assert_eq!(replica.get(&path).await?.text("schemaStatus"), "FAILED");
    assert_eq!(world.fake.count("drop", &id), 1, "half of a schema is taken away");
    let changed = replica
        .call(Method::PATCH, &path, Some(json!({"tier": "basic"})))
        .await?;
    assert_eq!(
        (changed.status, changed.code()),
        (StatusCode::CONFLICT, "INVALID_STATE")
    );
    replica.call(Method::DELETE, &path, None).await?;
    assert_eq!(
        world.transitions(&id).await?,
        [
            ">PENDING",
            "PENDING>PROVISIONING",
            "PROVISIONING>FAILED",
            "FAILED>DROPPED"
        ]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_session_takes_no_place() -> Result<()> {
    let mut world = World::with(&[("MAX_SESSIONS_PER_IP", "1")]).await?;
    let replica = world.replica().await?;
    world.fake.state().refusal = Some(Status::invalid_argument("no"));
    assert_eq!(replica.create().await?.text("schemaStatus"), "FAILED");
    world.fake.state().refusal = None;
    replica.ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_trouble_of_the_provisioner_is_503_and_tried_again() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    world.fake.state().refusal = Some(fault::Fault::unavailable(7, "no slot can be made").into());
    let answer = replica.create().await?;
    assert_eq!(
        (answer.status, answer.retry_after()),
        (StatusCode::SERVICE_UNAVAILABLE, 7)
    );
    world.fake.state().refusal = None;
    let path = answer.header("location").trim_start_matches("/api/preview").to_owned();
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ended_while_it_is_prepared_leaves_no_schema() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let clock = Clock::Manual(world.clock.clone());
    let replica = world
        .replica_with(clock, |config| config.policy.patience = Duration::from_millis(50))
        .await?;
    let gate = world.fake.shut_gate();
    let answer = replica.create().await?;
    let (token, id) = (answer.text("sessionToken"), answer.text("id"));
    replica
        .call(Method::DELETE, &format!("/sessions/{token}"), None)
        .await?;
    gate.add_permits(1);
    until("what was made is taken away", async || {
        Ok(world.fake.count("drop", &id) == 2)
    })
    .await?;
    assert!(!world.fake.state().schemas.contains_key(&id));
    assert_eq!(
        world.transitions(&id).await?,
        [">PENDING", "PENDING>PROVISIONING", "PROVISIONING>DROPPED"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_session_is_prepared_when_it_is_first_asked_for() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut body = shop();
    body["provisionSchema"] = json!(false);
    let answer = replica.call(Method::POST, "/sessions", Some(body.clone())).await?;
    assert_eq!(
        (answer.status, answer.text("schemaStatus").as_str()),
        (StatusCode::CREATED, "PENDING")
    );
    let (path, id) = (format!("/sessions/{}", answer.text("sessionToken")), answer.text("id"));
    world.advance(TimeDelta::minutes(1));
    replica.reconcile().await?;
    assert_eq!(world.fake.count("provision", &id), 0, "nobody has asked yet");
    assert_eq!(
        replica.get(&format!("{path}/status")).await?.text("schemaStatus"),
        "PENDING"
    );
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await?;
    assert_eq!(
        world.fake.count("provision", &id),
        1,
        "asked for once, however often it was looked at"
    );
    assert_eq!(
        world.column(&id, BEGUN).await?.as_deref(),
        Some("preparation requested")
    );

    let unseen = replica.call(Method::POST, "/sessions", Some(body)).await?;
    let path = format!("/sessions/{}", unseen.text("sessionToken"));
    replica.call(Method::DELETE, &path, None).await?;
    assert_eq!(
        world.transitions(&unseen.text("id")).await?,
        [">PENDING", "PENDING>DROPPED"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_finishes_what_is_under_way() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let gate = world.fake.shut_gate();
    let (answer, drained) = tokio::join!(replica.create(), async {
        until("the provisioner is asked", async || {
            Ok(!world.fake.state().calls.is_empty())
        })
        .await?;
        replica.lifecycle.stop();
        gate.add_permits(1);
        anyhow::Ok(
            replica
                .lifecycle
                .clone()
                .run(Signals::listen()?, Duration::from_secs(10))
                .await,
        )
    });
    assert_eq!(answer?.text("schemaStatus"), "READY");
    assert_eq!(drained?, service::lifecycle::Drained::All);
    Ok(())
}
