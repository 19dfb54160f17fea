//! The gRPC services: for the studio's backend and for the data plane.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::Method;
use chrono::TimeDelta;
use fault::Fault;
use futures::future::try_join_all;
use proto::{
    timestamp,
    v1::{
        Activity, CreateSessionRequest, EndSessionRequest, FeatureChoice, GetSessionRequest, HeartbeatRequest,
        ListSessionsRequest, ReportActivityRequest, ResolveTenantRequest, SessionRef, SessionStatus, StatsRequest,
        UpdateSessionRequest, WatchInvalidationsRequest, WatchSessionRequest, WatchSessionResponse,
        operator_service_client::OperatorServiceClient, resolve_tenant_request, session_ref,
        session_service_client::SessionServiceClient, tenant_directory_client::TenantDirectoryClient,
    },
};
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Replica, World, stranger, until};

fn shop() -> CreateSessionRequest {
    CreateSessionRequest {
        selected_features: vec!["ecommerce".to_owned(), "payments.oneTime".to_owned()],
        tier: "pro".to_owned(),
        client_ip: "203.0.113.7".to_owned(),
        ..CreateSessionRequest::default()
    }
}

fn keyed(key: &str) -> CreateSessionRequest {
    CreateSessionRequest {
        idempotency_key: Some(key.to_owned()),
        ..shop()
    }
}

fn by_token(token: &str) -> Option<SessionRef> {
    Some(SessionRef {
        by: Some(session_ref::By::SessionToken(token.to_owned())),
    })
}

fn by_id(id: &str) -> Option<SessionRef> {
    Some(SessionRef {
        by: Some(session_ref::By::Id(id.to_owned())),
    })
}

fn reason(status: &tonic::Status) -> (Code, String) {
    (status.code(), Fault::reason(status).0.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_needs_the_secret_but_health_and_reflection() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let bare = service::grpc::channel(&format!("http://{}", replica.parts.grpc))?;
    let mut studio = SessionServiceClient::new(bare.clone());
    for secret in [None, Some("a-secret-that-only-these-tests-knoW")] {
        let mut request = Request::new(shop());
        if let Some(secret) = secret {
            request.metadata_mut().insert("x-internal-secret", secret.parse()?);
        }
        let refused = studio.create_session(request).await.expect_err("no secret");
        assert_eq!(reason(&refused), (Code::Unauthenticated, "UNAUTHORIZED".to_owned()));
    }
    let refused = OperatorServiceClient::new(bare.clone()).stats(StatsRequest {}).await;
    assert_eq!(
        refused.map_err(|status| status.code()).err(),
        Some(Code::Unauthenticated)
    );
    let refused = TenantDirectoryClient::new(bare.clone())
        .report_activity(ReportActivityRequest::default())
        .await;
    assert_eq!(
        refused.map_err(|status| status.code()).err(),
        Some(Code::Unauthenticated)
    );
    HealthClient::new(bare.clone())
        .check(HealthCheckRequest::default())
        .await?;
    let services = reflected(bare).await?;
    assert_eq!(
        services,
        [
            "grpc.health.v1.Health",
            "livepreview.v1.OperatorService",
            "livepreview.v1.SessionService",
            "livepreview.v1.TenantDirectory",
        ],
        "what is served here, not what the provisioner serves"
    );
    Ok(())
}

async fn reflected(channel: tonic::transport::Channel) -> Result<Vec<String>> {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(futures::stream::iter([list]))
        .await?
        .into_inner();
    match answers.message().await?.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
            names.sort();
            Ok(names)
        }
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_studio_creates_follows_changes_and_ends_a_session() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut studio = replica.studio()?;
    let created = studio.create_session(shop()).await?.into_inner();
    let session = created.session.context("a session")?;
    assert_eq!((session.status(), created.replayed), (SessionStatus::Ready, false));
    assert_eq!(session.ignored_features, ["payments.oneTime"]);
    assert_eq!(session.modules, ["ecommerce"]);
    let token = session.session_token.clone();
    assert_eq!(session.preview_url(), format!("http://app.test/?session={token}"));

    let get = |session| GetSessionRequest { session };
    let shown = studio.get_session(get(by_token(&token))).await?.into_inner();
    assert_eq!(shown.session.as_ref(), Some(&session));
    let shown = studio
        .get_session(get(by_id(&session.id)))
        .await?
        .into_inner()
        .session
        .context("a session")?;
    assert_eq!(
        (shown.session_token.as_str(), shown.preview_url.as_deref()),
        ("", None),
        "only for who holds it"
    );

    world.advance(TimeDelta::minutes(2));
    let beat = studio
        .heartbeat(HeartbeatRequest {
            session: by_token(&token),
        })
        .await?
        .into_inner();
    assert_eq!(
        (beat.status(), beat.expires_at),
        (SessionStatus::Ready, session.expires_at)
    );
    let update = UpdateSessionRequest {
        session: by_token(&token),
        features: Some(FeatureChoice {
            selected_features: vec!["tasks".to_owned()],
        }),
        tier: None,
    };
    let updated = studio
        .update_session(update)
        .await?
        .into_inner()
        .session
        .context("a session")?;
    assert_eq!(
        (updated.modules, updated.tier),
        (vec!["tasks".to_owned()], "pro".to_owned())
    );

    for ended_now in [true, false] {
        let end = EndSessionRequest {
            session: by_token(&token),
        };
        assert_eq!(studio.end_session(end).await?.into_inner().ended_now, ended_now);
    }
    let gone = studio.get_session(get(by_token(&token))).await.expect_err("it is over");
    assert_eq!(reason(&gone), (Code::FailedPrecondition, "SESSION_EXPIRED".to_owned()));
    let unknown = studio
        .get_session(get(by_token(&stranger())))
        .await
        .expect_err("nobody's");
    assert_eq!(reason(&unknown), (Code::NotFound, "SESSION_NOT_FOUND".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_arguments_are_named() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut studio = replica.studio()?;
    let wrong = CreateSessionRequest {
        selected_features: vec!["no slug".to_owned()],
        tier: String::new(),
        template_slug: Some("x".repeat(61)),
        currency: Some("dollars".to_owned()),
        provision_schema: None,
        idempotency_key: Some("a b".to_owned()),
        client_ip: "localhost".to_owned(),
    };
    let refused = studio.create_session(wrong).await.expect_err("six mistakes");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "VALIDATION_ERROR".to_owned()));
    let details = tonic_types::StatusExt::get_details_bad_request(&refused).context("details")?;
    let named: Vec<_> = details
        .field_violations
        .iter()
        .map(|wrong| wrong.field.as_str())
        .collect();
    assert_eq!(
        named,
        [
            "selected_features",
            "tier",
            "template_slug",
            "currency",
            "idempotency_key",
            "client_ip"
        ]
    );
    let unkeyed = studio.create_session(keyed("")).await.expect_err("an empty key");
    assert_eq!(reason(&unkeyed), (Code::InvalidArgument, "VALIDATION_ERROR".to_owned()));
    for (session, code) in [
        (None, "VALIDATION_ERROR"),
        (by_id("7"), "VALIDATION_ERROR"),
        (by_token("short"), "INVALID_TOKEN"),
    ] {
        let refused = studio.get_session(GetSessionRequest { session }).await.expect_err(code);
        assert_eq!(reason(&refused), (Code::InvalidArgument, code.to_owned()));
    }
    let mut large = shop();
    large.selected_features = vec!["x".repeat(80); 5_000];
    let refused = studio
        .create_session(large)
        .await
        .expect_err("over the limit of a message");
    assert_eq!(
        reason(&refused),
        (Code::InvalidArgument, "PAYLOAD_TOO_LARGE".to_owned())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_resource_exhausted_with_its_wait() -> Result<()> {
    let mut world = World::with(&[("MAX_SESSIONS_PER_IP", "1")]).await?;
    let replica = world.replica().await?;
    let mut studio = replica.studio()?;
    studio.create_session(shop()).await?;
    let refused = studio.create_session(shop()).await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let (code, wait) = Fault::reason(&refused);
    assert_eq!(code.as_deref(), Some("SESSION_LIMIT_PER_IP"));
    assert!(wait.is_some_and(|wait| (1..=1_801).contains(&wait)), "{wait:?}");
    let other = CreateSessionRequest {
        client_ip: "203.0.113.8".to_owned(),
        ..shop()
    };
    studio.create_session(other).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_gives_one_session_for_a_day() -> Result<()> {
    let settings = [
        ("PREVIEW_TTL_HOURS", "100"),
        ("MAX_SESSION_LIFETIME_HOURS", "100"),
        ("SCHEMA_IDLE_TIMEOUT_MIN", "6000"),
    ];
    let mut world = World::with(&settings).await?;
    let (one, two) = (world.replica().await?, world.replica().await?);
    let first = one.studio()?.create_session(keyed("order-1")).await?.into_inner();
    let again = two.studio()?.create_session(keyed("order-1")).await?.into_inner();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.session, again.session, "with its token");
    let other = one.studio()?.create_session(keyed("order-2")).await?.into_inner();
    assert_ne!(first.session, other.session);

    let different = CreateSessionRequest {
        tier: "basic".to_owned(),
        ..keyed("order-1")
    };
    let refused = one
        .studio()?
        .create_session(different.clone())
        .await
        .expect_err("another request");
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "IDEMPOTENCY_CONFLICT".to_owned())
    );

    world.advance(TimeDelta::hours(24));
    let later = one.studio()?.create_session(different).await?.into_inner();
    assert!(!later.replayed, "after a day the key is free");
    assert_eq!(world.count("READY").await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creations_with_one_key_give_one_session() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replicas = [world.replica().await?, world.replica().await?];
    let answers = try_join_all((0..20).map(|n| {
        let studio = replicas[n % 2].studio();
        async move { anyhow::Ok(studio?.create_session(keyed("once")).await?.into_inner()) }
    }))
    .await?;
    let first = answers[0].session.as_ref().context("a session")?;
    for answer in &answers {
        let session = answer.session.as_ref().context("a session")?;
        assert_eq!((&session.id, &session.session_token), (&first.id, &first.session_token));
        assert_eq!(session.status(), SessionStatus::Ready);
    }
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!((world.count("READY").await?, world.fake.state().schemas.len()), (1, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_while_the_provisioner_is_away_is_found_again_by_its_key() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut studio = replica.studio()?;
    world.fake.go_away().await;
    let refused = studio
        .create_session(keyed("patient"))
        .await
        .expect_err("nobody provisions");
    assert_eq!(reason(&refused), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    assert!(Fault::reason(&refused).1.is_some(), "with a wait");
    world.fake.come_back().await?;
    let found = studio.create_session(keyed("patient")).await?.into_inner();
    assert_eq!(
        (found.replayed, found.session.context("a session")?.status()),
        (true, SessionStatus::Ready)
    );
    assert_eq!(world.count("READY").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_sessions_hold_each_one_once_and_no_token() -> Result<()> {
    let settings = [("MAX_SESSIONS_PER_IP", "100")];
    let mut world = World::with(&settings).await?;
    let replica = world.replica().await?;
    let mut studio = replica.studio()?;
    for _ in 0..5 {
        studio.create_session(shop()).await?;
        world.advance(TimeDelta::milliseconds(2));
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSessionsRequest {
            statuses: vec![SessionStatus::Ready.into()],
            page_size: 2,
            page_token,
        };
        let page = studio.list_sessions(request).await?.into_inner();
        assert!(page.sessions.iter().all(|session| session.session_token.is_empty()));
        seen.extend(page.sessions.into_iter().map(|session| session.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (5, &sorted), "newest first");
    let none = ListSessionsRequest {
        statuses: vec![SessionStatus::Failed.into()],
        ..ListSessionsRequest::default()
    };
    assert!(studio.list_sessions(none).await?.into_inner().sessions.is_empty());
    let restarting = "UPDATE control.sessions SET restarting_since = now() WHERE id = $1::text::uuid";
    world.database.connect().await?.execute(restarting, &[&seen[0]]).await?;
    let shown = async |status: SessionStatus| {
        let request = ListSessionsRequest {
            statuses: vec![status.into()],
            ..ListSessionsRequest::default()
        };
        let page = replica.studio()?.list_sessions(request).await?.into_inner();
        assert!(
            page.sessions.iter().all(|session| session.status() == status),
            "{page:?}"
        );
        anyhow::Ok(page.sessions.len())
    };
    let counts = (
        shown(SessionStatus::Ready).await?,
        shown(SessionStatus::Provisioning).await?,
    );
    assert_eq!(counts, (4, 1), "a restart is shown as such");
    world.advance(TimeDelta::hours(5));
    let counts = (shown(SessionStatus::Ready).await?, shown(SessionStatus::Dropped).await?);
    assert_eq!(counts, (0, 5), "over, before the reconciler has noticed");
    for (page_size, page_token) in [(201, ""), (-1, ""), (0, "nonsense")] {
        let request = ListSessionsRequest {
            statuses: vec![],
            page_size,
            page_token: page_token.to_owned(),
        };
        let refused = studio.list_sessions(request).await.expect_err("out of range");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    Ok(())
}

async fn watch(replica: &Replica, token: &str) -> Result<Streaming<WatchSessionResponse>> {
    let session = by_token(token);
    let states = replica.studio()?.watch_session(WatchSessionRequest { session }).await?;
    Ok(states.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_process_that_stops_do_not_end_as_if_all_were_told() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let mut states = watch(&replica, &token).await?;
    let mut notices = replica
        .directory()?
        .watch_invalidations(WatchInvalidationsRequest {})
        .await?
        .into_inner();
    states.message().await?.context("the present state")?;
    notices.message().await?.context("the first message")?;
    replica.lifecycle.stop();
    let stopped = states.message().await.expect_err("the session goes on");
    assert_eq!(reason(&stopped), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    let stopped = loop {
        match notices.message().await {
            Ok(notice) => drop(notice.context("an end as if all were told")?),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&stopped), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_every_state_and_then_the_end() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let mut states = watch(&replica, &token).await?;
    let first = states
        .message()
        .await?
        .and_then(|state| state.session)
        .context("the present state")?;
    assert_eq!((first.status(), &first.session_token), (SessionStatus::Ready, &token));
    let path = format!("/sessions/{token}");
    replica
        .call(Method::PATCH, &path, Some(json!({"tier": "basic"})))
        .await?;
    let changed = states
        .message()
        .await?
        .and_then(|state| state.session)
        .context("the change")?;
    assert_eq!(changed.tier, "basic");
    replica.call(Method::DELETE, &path, None).await?;
    let last = states
        .message()
        .await?
        .and_then(|state| state.session)
        .context("the end")?;
    assert_eq!(last.status(), SessionStatus::Dropped);
    assert!(states.message().await?.is_none());
    Ok(())
}

fn resolve(by: resolve_tenant_request::By) -> ResolveTenantRequest {
    ResolveTenantRequest { by: Some(by) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_answers_by_token_hash_and_id_and_tells_over_from_unknown() -> Result<()> {
    use resolve_tenant_request::By;
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let hash = token.parse::<domain::SessionToken>()?.hash().as_bytes().to_vec();
    let mut directory = replica.directory()?;
    let keys = [
        By::Token(token.clone()),
        By::TokenHash(hash.clone()),
        By::SessionId(id.clone()),
    ];
    for by in keys.clone() {
        let tenant = directory
            .resolve_tenant(resolve(by))
            .await?
            .into_inner()
            .tenant
            .context("a tenant")?;
        assert_eq!(tenant.status(), SessionStatus::Ready);
        assert_eq!(tenant.schema_name, format!("preview_{}", id.replace('-', "")));
        assert_eq!(
            (tenant.role_name.as_str(), &tenant.session_id, &tenant.token_hash),
            ("test_slot_0001", &id, &hash)
        );
        assert_eq!(tenant.enabled_features, ["ecommerce.cart", "ecommerce.products"]);
    }
    replica
        .call(Method::DELETE, &format!("/sessions/{token}"), None)
        .await?;
    for by in keys {
        let tenant = directory
            .resolve_tenant(resolve(by))
            .await?
            .into_inner()
            .tenant
            .context("a tenant")?;
        assert_eq!(
            (tenant.status(), tenant.schema_name.as_str()),
            (SessionStatus::Dropped, "")
        );
    }
    for by in [
        By::Token(stranger()),
        By::TokenHash(vec![7; 32]),
        By::SessionId(uuid::Uuid::nil().to_string()),
    ] {
        let unknown = directory.resolve_tenant(resolve(by)).await.expect_err("nobody");
        assert_eq!(reason(&unknown), (Code::NotFound, "SESSION_NOT_FOUND".to_owned()));
    }
    for by in [
        By::Token("short".into()),
        By::TokenHash(vec![7; 31]),
        By::SessionId("7".into()),
    ] {
        let refused = directory.resolve_tenant(resolve(by)).await.expect_err("malformed");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_reach_every_replica_and_a_loss_leaves_a_gap() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let (one, two) = (world.replica().await?, world.replica().await?);
    listening(&world, 2).await?;
    let mut stream = two
        .directory()?
        .watch_invalidations(WatchInvalidationsRequest {})
        .await?
        .into_inner();
    let first = stream.message().await?.context("the first message")?;
    assert!(first.token_hash.is_empty());

    let (token, _) = one.ready().await?;
    let hash = token.parse::<domain::SessionToken>()?.hash().as_bytes().to_vec();
    one.call(Method::DELETE, &format!("/sessions/{token}"), None).await?;
    let mut sequence = first.sequence;
    // READY and the end: each told once, without a gap.
    for _ in 0..2 {
        let next = timeout(Duration::from_secs(20), stream.message())
            .await??
            .context("a notice")?;
        assert_eq!((next.sequence, &next.token_hash), (sequence + 1, &hash));
        sequence = next.sequence;
    }

    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    world.database.connect().await?.execute(kill, &[]).await?;
    let gap = timeout(Duration::from_secs(20), stream.message())
        .await??
        .context("a notice")?;
    assert!(
        gap.token_hash.is_empty() && gap.sequence > sequence + 1,
        "{gap:?} behind {sequence}"
    );

    let (token, _) = one.ready().await?;
    let hash = token.parse::<domain::SessionToken>()?.hash().as_bytes().to_vec();
    let next = timeout(Duration::from_secs(20), stream.message())
        .await??
        .context("a notice")?;
    assert_eq!(
        (next.sequence, next.token_hash),
        (gap.sequence + 1, hash),
        "it goes on behind the gap"
    );
    Ok(())
}

/// Waits until so many replicas listen.
async fn listening(world: &World, replicas: i64) -> Result<()> {
    let client = world.database.connect().await?;
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE query LIKE 'LISTEN%' AND state = 'idle' AND datname = current_database()";
    until("all replicas listen", async || {
        Ok(client.query_one(sql, &[]).await?.get::<_, i64>(0) == replicas)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reported_traffic_counts_as_a_heartbeat_and_never_moves_time_back() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (_, id) = replica.ready().await?;
    let (token, over) = replica.ready().await?;
    replica
        .call(Method::DELETE, &format!("/sessions/{token}"), None)
        .await?;
    world.advance(TimeDelta::minutes(20));
    let now = replica.parts.sessions.now();
    let report = |id: &str, at| Activity {
        session_id: id.to_owned(),
        at: Some(timestamp(at)),
    };
    let activities = vec![
        report(&id, now - TimeDelta::minutes(1)),
        report(&id, now + TimeDelta::days(1)),
        report(&over, now),
        report("no id", now),
        report(&uuid::Uuid::nil().to_string(), now),
    ];
    let mut directory = replica.directory()?;
    let noted = directory
        .report_activity(ReportActivityRequest { activities })
        .await?
        .into_inner()
        .noted;
    assert_eq!(noted, 1);
    let seen = "to_char(last_accessed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')";
    let expected = now.format("%Y-%m-%d %H:%M:%S").to_string();
    assert_eq!(
        world.column(&id, seen).await?,
        Some(expected.clone()),
        "the future counts as now"
    );
    let activities = vec![report(&id, now - TimeDelta::minutes(10))];
    let noted = directory
        .report_activity(ReportActivityRequest { activities })
        .await?
        .into_inner()
        .noted;
    assert_eq!((noted, world.column(&id, seen).await?), (0, Some(expected)));
    world.advance(TimeDelta::minutes(20));
    replica.reconcile().await?;
    assert_eq!(
        world.column(&id, "status").await?.as_deref(),
        Some("READY"),
        "traffic keeps it alive"
    );
    let many = vec![report(&id, now); 1_001];
    let refused = directory
        .report_activity(ReportActivityRequest { activities: many })
        .await
        .expect_err("too many");
    assert_eq!(refused.code(), Code::InvalidArgument);
    Ok(())
}
