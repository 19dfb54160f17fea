//! The reconciler: whatever is left behind, the world matches the records again.

use anyhow::Result;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use orchestrator::session::reconcile::{Reconciler, Round};
use serde_json::{Value, json};

use crate::harness::{World, until};

const MANY: [(&str, &str); 3] = [
    ("MAX_PREVIEW_SCHEMAS", "1000"),
    ("MAX_SESSIONS_PER_IP", "1000"),
    ("SESSION_CREATE_RATE_PER_HOUR", "1000"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_is_over_at_once_and_dropped_by_the_next_round() -> Result<()> {
    let mut world = World::with(&[("PREVIEW_TTL_HOURS", "0.25")]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    world.advance(TimeDelta::minutes(15) - TimeDelta::milliseconds(1));
    assert_eq!(replica.get(&path).await?.status, StatusCode::OK);
    world.advance(TimeDelta::milliseconds(2));
    assert_eq!(replica.get(&path).await?.status, StatusCode::GONE);
    assert_eq!(world.column(&id, "status").await?.as_deref(), Some("READY"));
    let round = replica.reconcile().await?.expect("nobody else leads");
    assert_eq!((round.ended, round.dropped), (1, 1));
    assert_eq!(world.column(&id, "status").await?.as_deref(), Some("DROPPED"));
    assert!(world.fake.state().schemas.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_ends_and_an_active_one_does_not() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (_, idle) = replica.ready().await?;
    let (token, active) = replica.ready().await?;
    for _ in 0..4 {
        world.advance(TimeDelta::minutes(10));
        replica.call(Method::PATCH, &format!("/sessions/{token}"), None).await?;
        replica.reconcile().await?;
    }
    assert_eq!(world.column(&idle, "status").await?.as_deref(), Some("DROPPED"));
    assert_eq!(world.column(&active, "status").await?.as_deref(), Some("READY"));
    let reason =
        "(SELECT reason FROM control.session_transitions WHERE session_id = sessions.id ORDER BY id DESC LIMIT 1)";
    assert_eq!(world.column(&idle, reason).await?.as_deref(), Some("idle"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_start_nobody_is_idle_before_traffic_can_have_been_reported() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (_, id) = replica.ready().await?;
    replica.lifecycle.stop();
    world.advance(TimeDelta::minutes(40));
    let back = world.replica().await?;
    let round = back.reconcile().await?.expect("nobody else leads");
    assert_eq!(round.ended, 0, "it may have been active all the time");
    world.advance(TimeDelta::seconds(61));
    let round = back.reconcile().await?.expect("nobody else leads");
    assert_eq!(round.ended, 1, "nobody told of traffic");
    assert_eq!(world.column(&id, "status").await?.as_deref(), Some("DROPPED"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_that_expire_together_are_gone_in_one_round() -> Result<()> {
    let mut world = World::with(&MANY).await?;
    let replica = world.replica().await?;
    for _ in 0..13 {
        futures::future::try_join_all((0..20).map(|_| replica.ready())).await?;
    }
    world.advance(TimeDelta::hours(5));
    let round = replica.reconcile().await?.expect("nobody else leads");
    assert_eq!((round.ended, round.dropped), (260, 260), "more than one batch");
    assert!(world.fake.state().schemas.is_empty());
    assert_eq!(
        replica.reconcile().await?,
        Some(Round::default()),
        "nothing is done twice"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_without_the_provisioner_is_an_end_and_its_schema_goes_later() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    world.fake.go_away().await;
    let answer = replica
        .call(Method::DELETE, &format!("/sessions/{token}"), None)
        .await?;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        replica.get(&format!("/sessions/{token}")).await?.status,
        StatusCode::GONE
    );
    replica.reconcile().await?;
    assert_eq!(world.column(&id, "drop_due").await?.as_deref(), Some("true"));
    world.fake.come_back().await?;
    until("the drop is made up for", async || {
        replica.reconcile().await?;
        Ok(world.column(&id, "drop_due").await?.as_deref() == Some("false"))
    })
    .await?;
    assert!(world.fake.state().schemas.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_replica_left_behind_is_finished_by_another() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let client = world.database.connect().await?;
    // As a replica leaves them that is killed right after the admission, after the provisioner's answer, or before
    // it asked.
    for status in ["PROVISIONING", "PENDING"] {
        let (token, id) = replica.ready().await?;
        client
            .execute(
                "UPDATE control.sessions SET status = $2, schema_name = NULL, role_name = NULL, ready_at = NULL,
                 worked_at = created_at WHERE id = $1::text::uuid",
                &[&id, &status],
            )
            .await?;
        replica.reconcile().await?;
        let path = format!("/sessions/{token}");
        assert_eq!(
            replica.get(&path).await?.text("schemaStatus"),
            status,
            "its replica may still be at work"
        );
        world.advance(TimeDelta::seconds(16));
        replica.reconcile().await?;
        until("the session is READY", async || {
            Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
        })
        .await?;
        assert_eq!(
            world.transitions(&id).await?.last().map(String::as_str),
            Some("PROVISIONING>READY")
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_without_a_session_goes_after_a_while_and_one_with_a_session_stays() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (_, rightful) = replica.ready().await?;
    let orphan = "01939c6e-8f3a-7cc1-a8f1-0a8a37a1f2b3".to_owned();
    world.fake.state().schemas.insert(orphan.clone(), Vec::new());
    let mut reconciler = Reconciler::new(replica.parts.sessions.clone(), std::time::Duration::from_secs(1));
    for (pause, dropped) in [(0, 0), (19, 0), (2, 1)] {
        world.advance(TimeDelta::seconds(pause));
        let round = reconciler.round().await?.expect("nobody else leads");
        assert_eq!(round.orphans, dropped);
    }
    let left: Vec<_> = world.fake.state().schemas.keys().cloned().collect();
    assert_eq!(left, [rightful]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_session_whose_schema_is_gone_has_failed_and_says_so() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let (other, _) = replica.ready().await?;
    world.fake.state().schemas.remove(&id);
    let round = replica.reconcile().await?.expect("nobody else leads");
    assert_eq!(round.lost, 1);
    let path = format!("/sessions/{token}");
    let failed = replica.get(&path).await?;
    assert_eq!(failed.text("schemaStatus"), "FAILED");
    assert_eq!(failed.data("previewUrl"), &Value::Null);
    assert_eq!(failed.data("failure")["code"], "SCHEMA_LOST");
    for (method, path) in [(Method::PATCH, path.clone()), (Method::POST, format!("{path}/restart"))] {
        let body = json!({"selectedFeatures": ["tasks"]});
        let refused = replica.call(method, &path, Some(body)).await?;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::CONFLICT, "INVALID_STATE")
        );
    }
    assert_eq!(replica.get(&format!("/sessions/{other}")).await?.status, StatusCode::OK);
    assert_eq!(replica.reconcile().await?, Some(Round::default()));
    assert_eq!(replica.call(Method::DELETE, &path, None).await?.status, StatusCode::OK);
    let steps = world.transitions(&id).await?;
    assert_eq!(steps[steps.len() - 2..], ["READY>FAILED", "FAILED>DROPPED"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drops_that_fail_do_not_hold_up_the_others() -> Result<()> {
    let mut world = World::with(&MANY).await?;
    let replica = world.replica().await?;
    for _ in 0..11 {
        futures::future::try_join_all((0..20).map(|_| replica.ready())).await?;
    }
    let first = world.fake.state().schemas.keys().next().cloned();
    world.fake.state().stuck = first;
    world.advance(TimeDelta::hours(5));
    let round = replica.reconcile().await?.expect("nobody else leads");
    assert_eq!(
        (round.ended, round.dropped),
        (220, 219),
        "those behind the first batch too"
    );
    world.fake.state().stuck = None;
    assert_eq!(replica.reconcile().await?.map(|round| round.dropped), Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_replica_leads_and_another_takes_over_when_it_is_gone() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut leader = world.database.connect().await?;
    let transaction = leader.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock(x'6c705f726563'::bigint)", &[])
        .await?;
    assert_eq!(replica.reconcile().await?, None);
    drop(transaction);
    drop(leader);
    until("the lock is free", async || Ok(replica.reconcile().await?.is_some())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_nobody_asks_for_any_more_are_forgotten() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    replica.call(Method::DELETE, &path, None).await?;
    world.advance(TimeDelta::days(7) - TimeDelta::minutes(1));
    replica.reconcile().await?;
    assert_eq!(replica.get(&path).await?.status, StatusCode::GONE);
    world.advance(TimeDelta::minutes(2));
    replica.reconcile().await?;
    assert_eq!(replica.get(&path).await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_that_cannot_be_forgotten_hold_nothing_up() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    replica.ready().await?;
    world.advance(TimeDelta::hours(5));
    let away = "ALTER TABLE control.idempotency_keys RENAME TO away";
    world.database.connect().await?.batch_execute(away).await?;
    let round = replica.reconcile().await?.expect("nobody else leads");
    assert_eq!((round.ended, round.dropped), (1, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() -> Result<()> {
    let world = World::with(&[]).await?;
    let mut worlds = Vec::new();
    for _ in 0..4 {
        let mut config = tokio_postgres::Config::new();
        config.clone_from(&world.database.url().parse()?);
        let pool =
            deadpool_postgres::Pool::builder(deadpool_postgres::Manager::new(config, tokio_postgres::NoTls)).build()?;
        worlds.push(async move { orchestrator::database::migrate(&pool).await });
    }
    futures::future::try_join_all(worlds).await?;
    let sql = "SELECT count(*), count(DISTINCT version) FROM control.migrations";
    let row = world.database.connect().await?.query_one(sql, &[]).await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
    Ok(())
}
