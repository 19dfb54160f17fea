//! Limits: exact under concurrency and over replicas, with waits that are true.

use anyhow::Result;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use futures::future::join_all;

use crate::harness::{Answer, Replica, World, shop};

const GENEROUS: [(&str, &str); 3] = [
    ("MAX_PREVIEW_SCHEMAS", "1000"),
    ("MAX_SESSIONS_PER_IP", "1000"),
    ("SESSION_CREATE_RATE_PER_HOUR", "1000"),
];

/// Everything generous but one.
fn only(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    GENEROUS
        .into_iter()
        .filter(|(other, _)| *other != name)
        .chain([(name, value)])
        .collect()
}

async fn create_from(replica: &Replica, forwarded: &str) -> Result<Answer> {
    let headers = [("content-type", "application/json"), ("x-forwarded-for", forwarded)];
    replica
        .raw(Method::POST, "/sessions", &headers, shop().to_string())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_parallel_creations_over_two_replicas_exactly_the_cap_get_in() -> Result<()> {
    let mut world = World::with(&only("MAX_PREVIEW_SCHEMAS", "50")).await?;
    let replicas = [world.replica().await?, world.replica().await?];
    let answers = join_all((0..200).map(|n| replicas[n % 2].create())).await;
    let answers: Vec<_> = answers.into_iter().collect::<Result<_>>()?;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(
        (count(StatusCode::CREATED), count(StatusCode::TOO_MANY_REQUESTS)),
        (50, 150)
    );
    for refused in answers
        .iter()
        .filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS)
    {
        assert_eq!(refused.code(), "SCHEMA_CAPACITY_REACHED");
        assert!(
            refused.retry_after() >= 1 && refused.body.to_string().contains("50"),
            "{refused:?}"
        );
    }
    assert_eq!(world.count("READY").await?, 50);
    assert_eq!(world.fake.state().schemas.len(), 50);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_limits_are_exact_under_concurrency_too() -> Result<()> {
    for (name, code) in [
        ("MAX_SESSIONS_PER_IP", "SESSION_LIMIT_PER_IP"),
        ("SESSION_CREATE_RATE_PER_HOUR", "RATE_LIMITED"),
    ] {
        let mut world = World::with(&only(name, "7")).await?;
        let replicas = [world.replica().await?, world.replica().await?];
        let answers = join_all((0..40).map(|n| replicas[n % 2].create())).await;
        let answers: Vec<_> = answers.into_iter().collect::<Result<_>>()?;
        let admitted = answers
            .iter()
            .filter(|answer| answer.status == StatusCode::CREATED)
            .count();
        let refused = answers
            .iter()
            .filter(|answer| answer.code() == code && answer.status == 429)
            .count();
        assert_eq!((admitted, refused), (7, 33), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_as_long_as_told_gets_in_on_any_replica_and_not_a_second_earlier() -> Result<()> {
    for (name, code) in [
        ("MAX_SESSIONS_PER_IP", "SESSION_LIMIT_PER_IP"),
        ("MAX_PREVIEW_SCHEMAS", "SCHEMA_CAPACITY_REACHED"),
        ("SESSION_CREATE_RATE_PER_HOUR", "RATE_LIMITED"),
    ] {
        let mut settings = only(name, "2");
        settings.extend([("PREVIEW_TTL_HOURS", "0.75"), ("SCHEMA_IDLE_TIMEOUT_MIN", "30")]);
        let mut world = World::with(&settings).await?;
        let (one, other) = (world.replica().await?, world.replica().await?);
        one.ready().await?;
        world.advance(TimeDelta::seconds(100));
        other.ready().await?;
        world.advance(TimeDelta::seconds(100));
        let refused = one.create().await?;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, code));
        let wait = refused.retry_after();
        // The first of the two makes room: half an hour without traffic, or an hour, after its creation.
        let whole = if code == "RATE_LIMITED" { 3_600 } else { 1_800 };
        assert!((whole - 200..=whole - 199).contains(&wait), "{code}: {wait}");
        world.advance(TimeDelta::seconds(wait - 2));
        for replica in [&one, &other] {
            assert_eq!(replica.create().await?.code(), code, "too early");
        }
        world.advance(TimeDelta::seconds(2));
        assert_eq!(other.create().await?.status, StatusCode::CREATED, "{code}");
        assert_eq!(one.create().await?.code(), code, "only one place was free");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_still_listens_for_traffic_says_how_long_it_does() -> Result<()> {
    let mut settings = only("MAX_SESSIONS_PER_IP", "1");
    settings.push(("SCHEMA_IDLE_TIMEOUT_MIN", "30"));
    let mut world = World::with(&settings).await?;
    world.replica().await?.ready().await?;
    // All were away for hours: nobody knows of traffic meanwhile.
    world.advance(TimeDelta::hours(2));
    let young = world.replica().await?;
    world.advance(TimeDelta::seconds(10));
    let refused = young.create().await?;
    assert_eq!(refused.code(), "SESSION_LIMIT_PER_IP");
    let wait = refused.retry_after();
    assert!((50..=51).contains(&wait), "{wait}");
    world.advance(TimeDelta::seconds(wait - 2));
    assert_eq!(young.create().await?.code(), "SESSION_LIMIT_PER_IP");
    world.advance(TimeDelta::seconds(2));
    assert_eq!(young.create().await?.status, StatusCode::CREATED);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_gives_its_place_back_at_once() -> Result<()> {
    let mut world = World::with(&only("MAX_SESSIONS_PER_IP", "1")).await?;
    let replica = world.replica().await?;
    for _ in 0..3 {
        let (token, _) = replica.ready().await?;
        assert_eq!(replica.create().await?.code(), "SESSION_LIMIT_PER_IP");
        replica
            .call(Method::DELETE, &format!("/sessions/{token}"), None)
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_counts_only_behind_a_trusted_proxy() -> Result<()> {
    let mut world = World::with(&only("MAX_SESSIONS_PER_IP", "1")).await?;
    let replica = world.replica().await?;
    assert_eq!(create_from(&replica, "203.0.113.1").await?.status, StatusCode::CREATED);
    assert_eq!(
        create_from(&replica, "203.0.113.2").await?.code(),
        "SESSION_LIMIT_PER_IP"
    );

    let mut settings = only("MAX_SESSIONS_PER_IP", "1");
    settings.push(("TRUSTED_PROXIES", "127.0.0.0/8"));
    let mut world = World::with(&settings).await?;
    let replica = world.replica().await?;
    for (forwarded, status) in [
        ("203.0.113.1", StatusCode::CREATED),
        ("198.51.100.9, 203.0.113.1", StatusCode::TOO_MANY_REQUESTS),
        ("203.0.113.2", StatusCode::CREATED),
        ("2001:db8::1", StatusCode::CREATED),
        ("2001:db8::ffff:2", StatusCode::TOO_MANY_REQUESTS),
        ("2001:db8:0:1::1", StatusCode::CREATED),
        ("::ffff:203.0.113.2", StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(create_from(&replica, forwarded).await?.status, status, "{forwarded}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_count_in_the_rate() -> Result<()> {
    let mut world = World::with(&only("SESSION_CREATE_RATE_PER_HOUR", "2")).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let restart = format!("/sessions/{token}/restart");
    assert_eq!(replica.call(Method::POST, &restart, None).await?.status, StatusCode::OK);
    let refused = replica.call(Method::POST, &restart, None).await?;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
    );
    world.advance(TimeDelta::seconds(refused.retry_after() - 1_900));
    replica.call(Method::PATCH, &format!("/sessions/{token}"), None).await?;
    world.advance(TimeDelta::seconds(1_900));
    replica.call(Method::PATCH, &format!("/sessions/{token}"), None).await?;
    assert_eq!(replica.call(Method::POST, &restart, None).await?.status, StatusCode::OK);
    Ok(())
}
