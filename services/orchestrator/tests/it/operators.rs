//! `OperatorService`.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use fault::Fault;
use futures::future::try_join_all;
use proto::v1::{
    DescribeSessionRequest, DrainAllRequest, DropSessionRequest, HappeningKind, ListSlotsRequest,
    OperatorServiceListSessionsRequest, OperatorServicePoolStatusRequest, OperatorServiceRecycleSlotRequest,
    OperatorServiceSetPoolTargetRequest, SessionStatus, SlotState, StatsRequest, WatchHappeningsRequest,
};
use tokio::time::timeout;
use tonic::Code;

use crate::harness::{World, until};

fn reason(status: &tonic::Status) -> (Code, String) {
    (status.code(), Fault::reason(status).0.unwrap_or_default())
}

fn drop_of(id: &str, reason: &str) -> DropSessionRequest {
    DropSessionRequest {
        session_id: id.to_owned(),
        reason: reason.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_listed_with_schemas_and_sizes_and_without_tokens() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut operators = replica.operators()?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, replica.ready().await?.1);
        world.advance(TimeDelta::milliseconds(2));
    }
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = OperatorServiceListSessionsRequest {
            statuses: vec![SessionStatus::Ready.into()],
            page_size: 2,
            page_token,
        };
        let page = operators.list_sessions(request).await?.into_inner();
        seen.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    for (listed, id) in seen.iter().zip(&ids) {
        let session = listed.session.as_ref().context("a session")?;
        assert_eq!((&session.id, session.session_token.as_str()), (id, ""), "newest first");
        assert_eq!(listed.schema_name, format!("preview_{}", id.replace('-', "")));
        assert_eq!(listed.schema_bytes, Some(1_000_000));
        assert_eq!(listed.client_network, "127.0.0.1");
    }
    assert_eq!(seen.len(), 3);

    world.fake.go_away().await;
    let request = OperatorServiceListSessionsRequest::default();
    let page = operators.list_sessions(request).await?.into_inner();
    let sizes: Vec<_> = page.sessions.iter().map(|session| session.schema_bytes).collect();
    assert_eq!(sizes, [None; 3], "unknown while the provisioner is away");
    let nonsense = OperatorServiceListSessionsRequest {
        page_size: 201,
        ..OperatorServiceListSessionsRequest::default()
    };
    let refused = operators.list_sessions(nonsense).await.expect_err("too many");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "VALIDATION_ERROR".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_end_is_recorded_with_its_reason_and_may_be_repeated() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut operators = replica.operators()?;
    let (token, id) = replica.ready().await?;
    let ended = operators.drop_session(drop_of(&id, " abuse ")).await?.into_inner();
    assert!(ended.ended_now);
    assert_eq!(replica.get(&format!("/sessions/{token}")).await?.status, 410);
    assert_eq!(world.fake.count("drop", &id), 1);
    let again = operators.drop_session(drop_of(&id, "abuse")).await?.into_inner();
    assert!(!again.ended_now);

    let request = DescribeSessionRequest { session_id: id.clone() };
    let described = operators.describe_session(request).await?.into_inner();
    let session = described.session.context("a session")?;
    assert_eq!((session.schema_name.as_str(), session.schema_bytes), ("", None));
    let steps: Vec<_> = described
        .transitions
        .iter()
        .map(|step| (step.from(), step.to(), step.replica.as_str()))
        .collect();
    use SessionStatus::{Dropped, Pending, Provisioning, Ready, Unspecified};
    assert_eq!(
        steps,
        [
            (Unspecified, Pending, "replica-1"),
            (Pending, Provisioning, "replica-1"),
            (Provisioning, Ready, "replica-1"),
            (Ready, Dropped, "replica-1"),
        ]
    );
    assert_eq!(described.transitions[3].reason, "ended by an operator: abuse");
    assert_eq!(described.history.len(), 4);

    let nobody = "01890000-0000-7000-8000-000000000000";
    let refused = operators.drop_session(drop_of(nobody, "")).await.expect_err("unknown");
    assert_eq!(reason(&refused), (Code::NotFound, "SESSION_NOT_FOUND".to_owned()));
    let request = DescribeSessionRequest {
        session_id: nobody.to_owned(),
    };
    let refused = operators.describe_session(request).await.expect_err("unknown");
    assert_eq!(refused.code(), Code::NotFound);
    for (id, why) in [
        ("nonsense", String::new()),
        (nobody, "x".repeat(201)),
        (nobody, "a\nb".to_owned()),
    ] {
        let refused = operators.drop_session(drop_of(id, &why)).await.expect_err("malformed");
        assert_eq!(refused.code(), Code::InvalidArgument, "{id} {why}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_in_batches_what_was_there_when_it_began() -> Result<()> {
    let mut world = World::with(&[("MAX_SESSIONS_PER_IP", "100")]).await?;
    let replica = world.replica().await?;
    let mut operators = replica.operators()?;
    let old = try_join_all((0..5).map(|_| replica.ready())).await?;
    let first = DrainAllRequest {
        reason: "an upgrade".to_owned(),
        most: 2,
        created_until: None,
    };
    let drained = operators.drain_all(first.clone()).await?.into_inner();
    assert_eq!((drained.ended, drained.remaining), (2, 3));
    world.advance(TimeDelta::milliseconds(5));
    let (young, _) = replica.ready().await?;
    let next = DrainAllRequest {
        created_until: drained.created_until,
        ..first
    };
    let drained = operators.drain_all(next.clone()).await?.into_inner();
    assert_eq!((drained.ended, drained.remaining), (2, 1));
    let drained = operators.drain_all(next.clone()).await?.into_inner();
    assert_eq!((drained.ended, drained.remaining), (1, 0));
    let drained = operators.drain_all(next).await?.into_inner();
    assert_eq!((drained.ended, drained.remaining), (0, 0), "a repeat ends nobody else");
    assert_eq!(replica.get(&format!("/sessions/{young}")).await?.status, 200);
    for (token, id) in &old {
        assert_eq!(replica.get(&format!("/sessions/{token}")).await?.status, 410);
        assert_eq!(world.fake.count("drop", id), 1, "its schema is taken away");
    }
    let all = operators.drain_all(DrainAllRequest::default()).await?.into_inner();
    assert_eq!((all.ended, all.remaining), (1, 0));
    assert_eq!(world.fake.state().schemas.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_without_the_provisioner_ends_sessions_and_leaves_schemas_to_the_reconciler() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    world.fake.go_away().await;
    let drained = replica
        .operators()?
        .drain_all(DrainAllRequest::default())
        .await?
        .into_inner();
    assert_eq!((drained.ended, drained.remaining), (1, 0));
    assert_eq!(replica.get(&format!("/sessions/{token}")).await?.status, 410);
    world.fake.come_back().await?;
    until("the reconciler has the schema taken away", async || {
        replica.reconcile().await?;
        Ok(world.fake.count("drop", &id) == 1)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_paged_and_a_claimed_one_is_never_recycled() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let mut operators = replica.operators()?;
    for _ in 0..3 {
        replica.ready().await?;
    }
    let first = ListSlotsRequest {
        page_size: 2,
        page_token: String::new(),
    };
    let page = operators.list_slots(first).await?.into_inner();
    let numbers: Vec<_> = page
        .slots
        .iter()
        .map(|slot| (slot.id, slot.state(), slot.bytes))
        .collect();
    assert_eq!(
        numbers,
        [
            (1, SlotState::Claimed, Some(1_000_000)),
            (2, SlotState::Claimed, Some(1_000_000))
        ]
    );
    let second = ListSlotsRequest {
        page_size: 2,
        page_token: page.next_page_token,
    };
    let page = operators.list_slots(second).await?.into_inner();
    assert_eq!(
        (page.slots.len(), page.slots[0].id, page.next_page_token.as_str()),
        (1, 3, "")
    );
    let recycle = |slot_id, schema: &str| OperatorServiceRecycleSlotRequest {
        slot_id,
        schema_name: schema.to_owned(),
    };
    let refused = operators
        .recycle_slot(recycle(1, "preview_x"))
        .await
        .expect_err("lived in");
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "INVALID_STATE".to_owned()));
    let refused = operators
        .recycle_slot(recycle(77, "slot_0077_1"))
        .await
        .expect_err("none");
    assert_eq!(reason(&refused), (Code::NotFound, "NOT_FOUND".to_owned()));
    let refused = operators.recycle_slot(recycle(1000, "")).await.expect_err("no schema");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        operators
            .recycle_slot(recycle(1000, "slot_1000_1"))
            .await?
            .into_inner()
            .begun
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_name_every_state_and_the_pool_while_it_answers() -> Result<()> {
    let mut world = World::with(&[("MAX_PREVIEW_SCHEMAS", "7")]).await?;
    let replica = world.replica().await?;
    let mut operators = replica.operators()?;
    let (token, _) = replica.ready().await?;
    replica
        .call(axum::http::Method::POST, &format!("/sessions/{token}/restart"), None)
        .await?;
    let stats = operators.stats(StatsRequest {}).await?.into_inner();
    let mut states: Vec<_> = stats
        .sessions_by_status
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    states.sort_unstable();
    assert_eq!(
        states,
        [
            ("DROPPED", 0),
            ("FAILED", 0),
            ("PENDING", 0),
            ("PROVISIONING", 0),
            ("READY", 1)
        ]
    );
    assert_eq!(
        (stats.max_schemas, stats.created_last_hour),
        (7, 1),
        "a restart creates nothing"
    );
    assert_eq!(stats.pool.context("the pool")?.claimed, 1);

    world.advance(TimeDelta::hours(5));
    let stats = operators.stats(StatsRequest {}).await?.into_inner();
    assert_eq!(
        (stats.sessions_by_status["DROPPED"], stats.created_last_hour),
        (1, 0),
        "as shown, before the reconciler has noticed"
    );

    let target = |target| OperatorServiceSetPoolTargetRequest { target };
    let set = operators.set_pool_target(target(12)).await?.into_inner();
    assert_eq!(set.status.context("levels")?.target, 12);
    let refused = operators.set_pool_target(target(501)).await.expect_err("too many");
    assert_eq!(refused.code(), Code::InvalidArgument);

    world.fake.go_away().await;
    assert_eq!(operators.stats(StatsRequest {}).await?.into_inner().pool, None);
    let away = operators
        .pool_status(OperatorServicePoolStatusRequest {})
        .await
        .expect_err("the provisioner is away");
    assert_eq!(reason(&away), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    assert!(
        Fault::reason(&away).1.is_some_and(|seconds| seconds > 0),
        "a wait is told"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_hears_of_every_replica_once_and_resumes() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let (one, other) = (world.replica().await?, world.replica().await?);
    let (_, before) = one.ready().await?;
    let mut watch = other
        .operators()?
        .watch_happenings(WatchHappeningsRequest { after: 0 })
        .await?
        .into_inner();
    let begun = watch.message().await?.context("a first message")?;
    assert_eq!(begun.happening, None);
    let (token, id) = one.ready().await?;
    world.advance(TimeDelta::milliseconds(5));
    one.call(axum::http::Method::POST, &format!("/sessions/{token}/extend"), None)
        .await?;
    other
        .call(axum::http::Method::DELETE, &format!("/sessions/{token}"), None)
        .await?;

    let mut heard = Vec::new();
    while heard.len() < 5 {
        let next = timeout(Duration::from_secs(20), watch.message()).await??;
        heard.push(next.context("more")?.happening.context("a happening")?);
    }
    assert!(
        heard
            .iter()
            .all(|happening| happening.session_id == id && happening.session_id != before)
    );
    let kinds: Vec<_> = heard
        .iter()
        .map(|happening| (happening.kind(), happening.to()))
        .collect();
    use HappeningKind::{Extended, Transition};
    assert_eq!(
        kinds,
        [
            (Transition, SessionStatus::Pending),
            (Transition, SessionStatus::Provisioning),
            (Transition, SessionStatus::Ready),
            (Extended, SessionStatus::Unspecified),
            (Transition, SessionStatus::Dropped),
        ]
    );
    assert_eq!(
        (heard[0].replica.as_str(), heard[4].replica.as_str()),
        ("replica-1", "replica-2")
    );

    let request = WatchHappeningsRequest { after: heard[2].id };
    let mut resumed = one.operators()?.watch_happenings(request).await?.into_inner();
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let next = timeout(Duration::from_secs(20), resumed.message()).await??;
        ids.push(next.context("more")?.happening.map(|happening| happening.id));
    }
    assert_eq!(ids, [None, Some(heard[3].id), Some(heard[4].id)]);
    one.lifecycle.stop();
    let stopped = resumed
        .message()
        .await
        .expect_err("the replica stops, the story goes on");
    assert_eq!(reason(&stopped), (Code::Unavailable, "UNAVAILABLE".to_owned()));
    Ok(())
}
