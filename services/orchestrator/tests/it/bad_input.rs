//! What callers and clocks do wrong, and that nothing comes of it.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use fault::Fault;
use proto::v1::{
    Activity, CreateSessionRequest, DropSessionRequest, GetSessionRequest, ReportActivityRequest, ResolveTenantRequest,
    SessionRef, SetPoolTargetRequest, StatsRequest, resolve_tenant_request, session_ref::By,
};
use serde_json::json;
use tonic::{Code, Request};

use crate::harness::{Replica, World, shop, stranger, until};

/// Each route with a token.
const ROUTES: [(&str, &str); 7] = [
    ("GET", ""),
    ("GET", "/status"),
    ("GET", "/events"),
    ("PATCH", ""),
    ("POST", "/extend"),
    ("POST", "/restart"),
    ("DELETE", ""),
];

fn get(token: &str) -> GetSessionRequest {
    let by = Some(By::SessionToken(token.to_owned()));
    GetSessionRequest {
        session: Some(SessionRef { by }),
    }
}

fn resolve(token: &str) -> ResolveTenantRequest {
    ResolveTenantRequest {
        by: Some(resolve_tenant_request::By::Token(token.to_owned())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_the_wrong_form_cost_no_query() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (mut studio, mut directory) = (replica.studio()?, replica.directory()?);
    // From here on whatever asks the database is answered with 503.
    replica.parts.sessions.store().pool().close();
    let (long, unknown) = ("a".repeat(129), stranger());
    let malformed = [
        "short",
        "with_underscores_and_more",
        "with%20spaces%20in%20it",
        "%FF%FE",
        long.as_str(),
    ];
    for (method, rest) in ROUTES {
        let call = async |token: &str| {
            let path = format!("/sessions/{token}{rest}");
            replica.call(method.parse::<Method>()?, &path, None).await
        };
        for token in malformed {
            let answer = call(token).await?;
            let told = (answer.status, answer.code());
            assert_eq!(
                told,
                (StatusCode::BAD_REQUEST, "INVALID_TOKEN"),
                "{method} {token}{rest}"
            );
        }
        let asked = call(&unknown).await?;
        assert_eq!(
            asked.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{method} {rest} asks with a token that may be one"
        );
    }
    for token in ["", "short", "with spaces in it, twenty", long.as_str()] {
        let studio_says = studio.get_session(get(token)).await.expect_err(token);
        let directory_says = directory.resolve_tenant(resolve(token)).await.expect_err(token);
        for refused in [studio_says, directory_says] {
            let reason = Fault::reason(&refused).0;
            assert_eq!(
                (refused.code(), reason.as_deref()),
                (Code::InvalidArgument, Some("INVALID_TOKEN")),
                "{token}"
            );
        }
    }
    let asked = studio.get_session(get(&unknown)).await.expect_err("no database");
    assert_eq!(asked.code(), Code::Unavailable);
    assert!(Fault::reason(&asked).1.is_some(), "with a wait");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_has_passed_leaves_a_whole_session_or_none() -> Result<()> {
    let mut world = World::with(&[("MAX_SESSIONS_PER_IP", "100")]).await?;
    let replica = world.replica().await?;
    for micros in [0, 200, 2_000, 5_000, 20_000] {
        let mut request = Request::new(CreateSessionRequest {
            selected_features: vec!["lms".to_owned()],
            tier: "pro".to_owned(),
            client_ip: "203.0.113.7".to_owned(),
            ..CreateSessionRequest::default()
        });
        request.set_timeout(Duration::from_micros(micros));
        if let Err(late) = replica.studio()?.create_session(request).await {
            assert!(
                matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
                "{late:?}"
            );
        }
    }
    until("every session that was begun is READY", async || {
        let (all, ready) = (world.count_all().await?, world.count("READY").await?);
        Ok(all == ready && i64::try_from(world.fake.state().schemas.len())? == ready)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_the_limit_are_refused_by_every_service() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let large = "x".repeat(300 * 1024);
    let studio = replica.studio()?.get_session(get(&large)).await.expect_err("300 kB");
    let directory = replica
        .directory()?
        .resolve_tenant(resolve(&large))
        .await
        .expect_err("300 kB");
    let drop = DropSessionRequest {
        session_id: large,
        reason: String::new(),
    };
    let operators = replica.operators()?.drop_session(drop).await.expect_err("300 kB");
    for refused in [studio, directory, operators] {
        let reason = Fault::reason(&refused).0;
        assert_eq!(
            (refused.code(), reason.as_deref()),
            (Code::InvalidArgument, Some("PAYLOAD_TOO_LARGE")),
            "{refused:?}"
        );
    }
    let many = ReportActivityRequest {
        activities: vec![Activity::default(); 1_001],
    };
    let refused = replica.directory()?.report_activity(many).await.expect_err("too many");
    assert_eq!(refused.code(), Code::InvalidArgument);
    replica.operators()?.stats(StatsRequest {}).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grpc_itself_refuses_has_a_reason_too() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut calls = tonic::client::Grpc::new(Replica::channel(replica.parts.grpc)?);
    for (path, code, reason) in [
        // A number where a message is due.
        (
            "/livepreview.v1.SessionService/GetSession",
            Code::InvalidArgument,
            "BAD_REQUEST",
        ),
        (
            "/livepreview.v1.SessionService/Nothing",
            Code::Unimplemented,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "/livepreview.v1.Nothing/GetSession",
            Code::Unimplemented,
            "METHOD_NOT_ALLOWED",
        ),
    ] {
        calls.ready().await?;
        let message = Request::new(SetPoolTargetRequest { target: 7 });
        let codec = tonic_prost::ProstCodec::<_, StatsRequest>::default();
        let answer = calls.unary(message, path.parse()?, codec).await;
        let refused = answer.expect_err(path);
        let told = Fault::reason(&refused).0;
        assert_eq!((refused.code(), told.as_deref()), (code, Some(reason)), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_currency_is_named_and_a_real_one_is_kept() -> Result<()> {
    let mut world = World::with(&[("DEFAULT_CURRENCY", "CHF")]).await?;
    let replica = world.replica().await?;
    let create = async |currency: serde_json::Value| {
        let mut body = shop();
        body["currency"] = currency;
        replica.call(Method::POST, "/sessions", Some(body)).await
    };
    for wrong in ["XXX", "eur", "EURO", "E", "€", "US D"] {
        let answer = create(json!(wrong)).await?;
        assert_eq!(
            (answer.status, answer.fields()),
            (StatusCode::UNPROCESSABLE_ENTITY, vec!["currency"]),
            "{wrong}"
        );
    }
    assert_eq!(create(json!("JPY")).await?.data("currency"), "JPY");
    assert_eq!(replica.create().await?.data("currency"), "CHF");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_back_keeps_sessions_and_leaves_nothing_stuck() -> Result<()> {
    let mut world = World::with(&[("MAX_SESSIONS_PER_IP", "100")]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let seen = world.column(&id, "last_accessed_at").await?;
    // As a replica leaves one that dies with its clock an hour ahead.
    let (stuck, stuck_id) = replica.ready().await?;
    world
        .database
        .connect()
        .await?
        .execute(
            "UPDATE control.sessions SET status = 'PROVISIONING', schema_name = NULL, role_name = NULL,
             ready_at = NULL, worked_at = created_at WHERE id = $1::text::uuid",
            &[&stuck_id],
        )
        .await?;
    world.advance(TimeDelta::hours(-1));
    let path = format!("/sessions/{token}");
    assert_eq!(replica.call(Method::PATCH, &path, None).await?.status, StatusCode::OK);
    assert_eq!(
        world.column(&id, "last_accessed_at").await?,
        seen,
        "time never runs back"
    );
    let extended = replica.call(Method::POST, &format!("{path}/extend"), None).await?;
    assert_eq!(extended.status, StatusCode::OK);
    replica.ready().await?;
    replica.reconcile().await?;
    let path = format!("/sessions/{stuck}");
    until("what was left behind is taken up", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await?;
    assert_eq!(world.count("DROPPED").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_ahead_ends_what_is_over_and_nothing_else() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (old, _) = replica.ready().await?;
    world.advance(TimeDelta::days(1));
    let (young, id) = replica.ready().await?;
    let round = replica.reconcile().await?.context("it leads")?;
    assert_eq!((round.ended, round.lost, round.orphans), (1, 0, 0));
    assert_eq!(replica.get(&format!("/sessions/{old}")).await?.status, StatusCode::GONE);
    assert_eq!(replica.get(&format!("/sessions/{young}")).await?.status, StatusCode::OK);
    assert!(world.fake.state().schemas.contains_key(&id));
    assert_eq!(world.count("READY").await?, 1);
    Ok(())
}
