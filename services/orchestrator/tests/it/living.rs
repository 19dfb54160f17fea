//! Between creation and end: features, extension, restart, events.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use domain::Clock;
use orchestrator::session::reconcile::Round;
use proto::v1::provisioner_service_server::ProvisionerService;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpStream, tcp::OwnedReadHalf},
    time::{Instant, timeout},
};

use crate::harness::{Replica, World, shop, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_met_for_the_first_time_is_seeded_and_none_is_seeded_twice() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let generation = world.column(&id, "generation").await?;
    let body = json!({"selectedFeatures": ["lms.courses", "made.up"], "tier": "basic"});
    let answer = replica.call(Method::PATCH, &path, Some(body)).await?;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.data("selectedFeatures"), &json!(["lms.courses"]));
    assert_eq!(answer.data("ignoredFeatures"), &json!(["made.up"]));
    assert_eq!(answer.data("modules"), &json!(["lms"]));
    assert_eq!(
        (answer.text("tier").as_str(), answer.text("schemaStatus").as_str()),
        ("basic", "READY")
    );
    assert_ne!(
        world.column(&id, "generation").await?,
        generation,
        "caches must see a change"
    );
    assert_eq!(world.fake.state().schemas[&id], ["ecommerce", "lms"]);
    replica
        .call(Method::PATCH, &path, Some(json!({"selectedFeatures": ["lms"]})))
        .await?;
    replica.call(Method::PATCH, &path, Some(json!({"tier": "pro"}))).await?;
    assert_eq!(world.fake.count("seed", &id), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_cannot_be_seeded_changes_nothing() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    world.fake.go_away().await;
    let body = Some(json!({"selectedFeatures": ["lms"]}));
    let answer = replica.call(Method::PATCH, &path, body.clone()).await?;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    );
    assert_eq!(replica.get(&path).await?.data("modules"), &json!(["ecommerce"]));
    world.fake.come_back().await?;
    until("the change is made", async || {
        Ok(replica.call(Method::PATCH, &path, body.clone()).await?.status == StatusCode::OK)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_meets_a_preparation_waits_for_it_and_seeds_what_is_missing() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    // Whoever asks for a deferred session finds that the preparation has begun already.
    world
        .database
        .connect()
        .await?
        .batch_execute(
            "CREATE FUNCTION control.begun() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN NEW.status := 'PROVISIONING'; RETURN NEW; END $$;
             CREATE TRIGGER begun BEFORE UPDATE ON control.sessions FOR EACH ROW
                 WHEN (OLD.deferred AND NOT NEW.deferred) EXECUTE FUNCTION control.begun()",
        )
        .await?;
    let mut body = shop();
    body["provisionSchema"] = json!(false);
    let answer = replica.call(Method::POST, "/sessions", Some(body)).await?;
    let (path, id) = (format!("/sessions/{}", answer.text("sessionToken")), answer.text("id"));
    let answer = replica
        .call(Method::PATCH, &path, Some(json!({"selectedFeatures": ["lms"]})))
        .await?;
    assert_eq!(
        (answer.status, answer.data("modules")),
        (StatusCode::OK, &json!(["lms"])),
        "{answer:?}"
    );
    assert_eq!(world.fake.state().schemas[&id], ["ecommerce", "lms"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_session_that_ends_meanwhile_finds_it_over() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let gate = world.fake.shut_gate();
    let (changed, ended) = tokio::join!(
        replica.call(Method::PATCH, &path, Some(json!({"selectedFeatures": ["lms"]}))),
        async {
            until("it is being seeded", async || Ok(world.fake.count("seed", &id) == 1)).await?;
            let ended = replica.call(Method::DELETE, &path, None).await;
            gate.add_permits(1);
            ended
        }
    );
    let changed = changed?;
    assert_eq!(
        (changed.status, changed.code(), ended?.status),
        (StatusCode::GONE, "SESSION_EXPIRED", StatusCode::OK)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_a_restart_overtakes_is_made_in_the_fresh_schema() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let gate = world.fake.shut_gate();
    let (changed, restarted) = tokio::join!(
        replica.call(Method::PATCH, &path, Some(json!({"selectedFeatures": ["lms"]}))),
        async {
            until("it is being seeded", async || Ok(world.fake.count("seed", &id) == 1)).await?;
            let restart = format!("{path}/restart");
            let restart = replica.call(Method::POST, &restart, None);
            let open = async {
                until("it is being restarted", async || {
                    Ok(world.fake.count("provision", &id) == 2)
                })
                .await?;
                gate.add_permits(3);
                anyhow::Ok(())
            };
            let (restarted, opened) = tokio::join!(restart, open);
            opened?;
            restarted
        }
    );
    let changed = changed?;
    assert_eq!(
        (changed.status, restarted?.status),
        (StatusCode::OK, StatusCode::OK),
        "{changed:?}"
    );
    assert_eq!(changed.data("modules"), &json!(["lms"]));
    assert_eq!(world.fake.state().schemas[&id], ["ecommerce", "lms"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_finds_no_schema_fails_with_the_session() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    world.fake.state().schemas.clear();
    let body = json!({"selectedFeatures": ["lms"]});
    let answer = replica
        .call(Method::PATCH, &format!("/sessions/{token}"), Some(body))
        .await?;
    assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "INVALID_STATE"));
    assert_eq!(world.column(&id, "status").await?.as_deref(), Some("FAILED"));
    Ok(())
}

/// How many changes of a session are recorded.
const CHANGES: &str = "(SELECT count(*) FROM control.session_changes WHERE session_id = sessions.id)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_is_answered_and_neither_recorded_nor_told() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let mut events = Events::open(&replica, &token, None).await?;
    events.next().await?.context("the present state")?;
    let generation = world.column(&id, "generation").await?;
    let same = shop();
    let extended = replica.call(Method::POST, &format!("{path}/extend"), None).await?;
    assert_eq!(extended.status, StatusCode::OK, "at the instant of its creation");
    world.advance(TimeDelta::minutes(1));
    let answer = replica.call(Method::PATCH, &path, Some(same)).await?;
    assert_eq!((answer.status, answer.text("tier").as_str()), (StatusCode::OK, "pro"));
    assert_ne!(
        answer.data("lastAccessedAt"),
        extended.data("lastAccessedAt"),
        "it is traffic"
    );
    assert_eq!(world.column(&id, "generation").await?, generation);
    assert_eq!(world.column(&id, CHANGES).await?.as_deref(), Some("0"));
    replica.call(Method::PATCH, &path, Some(json!({"tier": "new"}))).await?;
    let (kind, _, data) = events.next().await?.context("the only change")?;
    assert_eq!((kind.as_str(), &data["tier"]), ("features", &json!("new")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_is_bounded_and_told_page_by_page() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let many = "INSERT INTO control.session_changes (session_id, at, kind, replica)
                SELECT $1::text::uuid, now(), 'UPDATED', 'a' FROM generate_series(1, 2500)";
    world.database.connect().await?.execute(many, &[&id]).await?;
    replica.call(Method::PATCH, &path, Some(json!({"tier": "new"}))).await?;
    assert_eq!(world.column(&id, CHANGES).await?.as_deref(), Some("1000"));
    let mut events = Events::open(&replica, &token, Some(0)).await?;
    replica.call(Method::DELETE, &path, None).await?;
    let (mut ids, mut last) = (Vec::new(), String::new());
    while let Some((kind, id, _)) = events.next().await? {
        ids.push(id.context("of the history")?);
        last = kind;
    }
    assert_eq!((ids.len(), last.as_str()), (3 + 1_000 + 1, "ended"));
    assert!(ids.is_sorted_by(|one, next| one < next));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_changes_are_named_and_nothing_changes() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let before = replica.get(&path).await?.body;
    for (body, field) in [
        (json!({"selectedFeatures": null}), "selectedFeatures"),
        (json!({"tier": null}), "tier"),
        (json!({"tier": ""}), "tier"),
        (json!({"currency": "EUR"}), "currency"),
        (json!({"expiresAt": "2099-01-01T00:00:00Z"}), "expiresAt"),
    ] {
        for (method, path) in [(Method::PATCH, path.clone()), (Method::POST, format!("{path}/restart"))] {
            let answer = replica.call(method, &path, Some(body.clone())).await?;
            assert_eq!(
                (answer.status, answer.fields()),
                (StatusCode::UNPROCESSABLE_ENTITY, vec![field]),
                "{body}"
            );
        }
    }
    assert_eq!(replica.get(&path).await?.body, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_moves_the_end_up_to_the_longest_life() -> Result<()> {
    let settings = [("PREVIEW_TTL_HOURS", "2"), ("MAX_SESSION_LIFETIME_HOURS", "3")];
    let mut world = World::with(&settings).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let (path, created) = (
        format!("/sessions/{token}"),
        replica.get(&format!("/sessions/{token}")).await?,
    );
    let end = |answer: &crate::harness::Answer| -> Result<TimeDelta> {
        let parse = |field| chrono::DateTime::parse_from_rfc3339(&answer.text(field));
        Ok(parse("expiresAt")? - parse("createdAt")?)
    };
    assert_eq!(end(&created)?, TimeDelta::hours(2));
    world.advance(TimeDelta::minutes(30));
    let extended = replica.call(Method::POST, &format!("{path}/extend"), None).await?;
    assert_eq!(
        (extended.status, end(&extended)?),
        (StatusCode::OK, TimeDelta::minutes(150))
    );
    world.advance(TimeDelta::minutes(60));
    let extended = replica
        .call(Method::POST, &format!("{path}/extend"), Some(json!({})))
        .await?;
    assert_eq!(end(&extended)?, TimeDelta::hours(3));
    let refused = replica.call(Method::POST, &format!("{path}/extend"), None).await?;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::CONFLICT, "MAX_LIFETIME_REACHED")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_id_and_token_on_a_fresh_schema() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let restart = format!("/sessions/{token}/restart");
    let answer = replica
        .call(Method::POST, &restart, Some(json!({"selectedFeatures": ["tasks"]})))
        .await?;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        (answer.text("id"), answer.text("sessionToken")),
        (id.clone(), token.clone())
    );
    assert_eq!(
        (answer.text("schemaStatus").as_str(), answer.data("modules")),
        ("READY", &json!(["tasks"]))
    );
    let calls: Vec<_> = world.fake.state().calls.iter().map(|call| call.0).collect();
    assert_eq!(calls, ["provision", "drop", "provision"]);
    assert_eq!(world.fake.state().schemas[&id], ["tasks"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_at_once_are_made_or_put_off() -> Result<()> {
    let mut world = World::with(&[("SESSION_CREATE_RATE_PER_HOUR", "1000")]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let restart = format!("/sessions/{token}/restart");
    for _ in 0..10 {
        let calls = (0..8).map(|_| replica.call(Method::POST, &restart, None));
        for answer in futures::future::try_join_all(calls).await? {
            let put_off = (StatusCode::SERVICE_UNAVAILABLE, "SESSION_NOT_READY");
            assert!(
                answer.status == StatusCode::OK || (answer.status, answer.code()) == put_off,
                "{answer:?}"
            );
        }
    }
    assert!(world.fake.state().schemas.contains_key(&id));
    assert_eq!(world.column(&id, "restarting_since").await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_of_a_restart_that_comes_late_leaves_the_fresh_schema() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let restarted = replica
        .call(Method::POST, &format!("/sessions/{token}/restart"), None)
        .await?;
    assert_eq!(restarted.status, StatusCode::OK);
    let drops = world.fake.state().drops.clone();
    let [late] = drops.as_slice() else { panic!("{drops:?}") };
    let answer = world.fake.drop_schema(tonic::Request::new(late.clone())).await?;
    assert!(!answer.into_inner().existed);
    assert!(world.fake.state().schemas.contains_key(&id));
    assert_eq!(replica.reconcile().await?, Some(Round::default()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_needs_the_provisioner_and_takes_nothing_away_without_it() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    world.fake.go_away().await;
    let answer = replica
        .call(Method::POST, &format!("/sessions/{token}/restart"), None)
        .await?;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    );
    assert_eq!(
        replica.get(&format!("/sessions/{token}")).await?.text("schemaStatus"),
        "READY"
    );
    assert!(world.fake.state().schemas.contains_key(&id));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_whose_caller_hangs_up_before_it_begins_is_finished() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let (mut holder, watcher) = (world.database.connect().await?, world.database.connect().await?);
    let admissions = holder.transaction().await?;
    let lock = "SELECT pg_advisory_xact_lock(x'6c705f61646d'::bigint)";
    admissions.execute(lock, &[]).await?;
    let mut stream = TcpStream::connect(replica.parts.http).await?;
    let head = format!("POST /api/preview/sessions/{token}/restart HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                   WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
    until("the restart waits for admissions", async || {
        Ok(watcher.query_one(waiting, &[]).await?.get::<_, i64>(0) == 1)
    })
    .await?;
    drop(stream);
    // Time for the server to notice; without it the test holds too.
    tokio::time::sleep(Duration::from_millis(300)).await;
    admissions.commit().await?;
    until("the session has a fresh schema", async || {
        let restarting = world.column(&id, "restarting_since").await?;
        Ok(restarting.is_none() && world.fake.count("provision", &id) == 2)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_a_dead_replica_began_is_finished() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, id) = replica.ready().await?;
    let client = world.database.connect().await?;
    let sql = "UPDATE control.sessions SET restarting_since = created_at WHERE id = $1::text::uuid";
    client.execute(sql, &[&id]).await?;
    world.fake.state().schemas.clear();
    let path = format!("/sessions/{token}");
    assert_eq!(replica.get(&path).await?.text("schemaStatus"), "PROVISIONING");
    world.advance(TimeDelta::seconds(16));
    replica.reconcile().await?;
    until("the session is READY", async || {
        Ok(replica.get(&path).await?.text("schemaStatus") == "READY")
    })
    .await?;
    assert!(world.fake.state().schemas.contains_key(&id));
    assert_eq!(world.column(&id, "worked_at").await?, None);
    Ok(())
}

/// A reader of Server-Sent Events.
struct Events(
    Lines<BufReader<OwnedReadHalf>>,
    #[expect(dead_code, reason = "keeps the connection")] tokio::net::tcp::OwnedWriteHalf,
);

/// Kind, id and data of one event.
type Event = (String, Option<i64>, Value);

impl Events {
    async fn open(replica: &Replica, token: &str, last: Option<i64>) -> Result<Self> {
        let (read, mut write) = TcpStream::connect(replica.parts.http).await?.into_split();
        let resume = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /api/preview/sessions/{token}/events HTTP/1.1\r\nhost: a\r\n{resume}\r\n");
        write.write_all(head.as_bytes()).await?;
        let mut lines = BufReader::new(read).lines();
        let status = lines.next_line().await?.context("an answer")?;
        ensure!(status.contains("200"), "{status}");
        Ok(Self(lines, write))
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Event>> {
        timeout(Duration::from_secs(20), self.read())
            .await
            .context("no event came")?
    }

    async fn read(&mut self) -> Result<Option<Event>> {
        let (mut kind, mut id) = (String::new(), None);
        while let Some(line) = self.0.next_line().await? {
            match line.split_once(": ") {
                Some(("event", value)) => kind = value.to_owned(),
                Some(("id", value)) => id = Some(value.parse()?),
                Some(("data", value)) => {
                    let data = serde_json::from_str(value)?;
                    // The id may stand before or behind the data.
                    while let Some(line) = self.0.next_line().await? {
                        match line.split_once(": ") {
                            Some(("id", value)) => id = Some(value.parse()?),
                            _ => break,
                        }
                    }
                    return Ok(Some((kind, id, data)));
                }
                // The last chunk has no length.
                _ if line == "0" => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_each_change_and_end_with_the_session() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let clock = Clock::Manual(world.clock.clone());
    let replica = world
        .replica_with(clock, |config| config.policy.patience = Duration::from_millis(50))
        .await?;
    let gate = world.fake.shut_gate();
    let answer = replica.create().await?;
    let token = answer.text("sessionToken");
    let path = format!("/sessions/{token}");
    let mut events = Events::open(&replica, &token, None).await?;
    let (kind, _, data) = events.next().await?.context("the present state")?;
    assert_eq!(
        (kind.as_str(), &data["schemaStatus"]),
        ("status", &json!("PROVISIONING"))
    );
    gate.add_permits(10);
    let (_, _, data) = events.next().await?.context("READY")?;
    assert_eq!(data["schemaStatus"], "READY");
    assert_eq!(data["previewUrl"], format!("http://app.test/?session={token}"));
    replica
        .call(Method::PATCH, &path, Some(json!({"selectedFeatures": ["lms"]})))
        .await?;
    let (kind, changed, data) = events.next().await?.context("features")?;
    assert_eq!((kind.as_str(), &data["modules"]), ("features", &json!(["lms"])));
    replica.call(Method::POST, &format!("{path}/restart"), None).await?;
    for status in ["PROVISIONING", "READY"] {
        let (_, _, data) = events.next().await?.context("the restart")?;
        assert_eq!(data["schemaStatus"], status);
    }
    replica.call(Method::DELETE, &path, None).await?;
    let (kind, _, data) = events.next().await?.context("the end")?;
    assert_eq!(
        (kind.as_str(), &data["reason"]),
        ("ended", &json!("ended by its owner"))
    );
    assert_eq!(events.next().await?, None, "the stream ends with the session");
    assert!(changed.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_shows_every_15_seconds_that_it_is_alive() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let mut events = Events::open(&replica, &token, None).await?;
    events.next().await?;
    let begun = Instant::now();
    let line = timeout(Duration::from_secs(60), async {
        loop {
            match events.0.next_line().await? {
                Some(line) if line.starts_with(':') => return Ok::<_, anyhow::Error>(line),
                Some(line) => ensure!(!line.starts_with("event"), "{line}"),
                None => bail!("the stream has ended"),
            }
        }
    });
    line.await.context("no comment came")??;
    assert!(begun.elapsed() > Duration::from_secs(10), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_changes_while_a_stream_opens_is_told() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let clock = Clock::Manual(world.clock.clone());
    let replica = world
        .replica_with(clock, |config| config.policy.patience = Duration::from_millis(50))
        .await?;
    let _gate = world.fake.shut_gate();
    let answer = replica.create().await?;
    let (token, id) = (answer.text("sessionToken"), answer.text("id"));
    let (mut other, watcher) = (world.database.connect().await?, world.database.connect().await?);
    // Between its looks at the session and at the history, another replica makes the session READY.
    let change = other.transaction().await?;
    change
        .batch_execute("LOCK TABLE control.session_transitions IN ACCESS EXCLUSIVE MODE")
        .await?;
    let (events, changed) = tokio::join!(Events::open(&replica, &token, None), async {
        let waiting = "SELECT count(*) FROM pg_locks
                       WHERE relation = 'control.session_transitions'::regclass AND NOT granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until("the stream reads the history", async || {
            Ok(watcher.query_one(waiting, &[]).await?.get::<_, i64>(0) == 1)
        })
        .await?;
        let ready = format!(
            "UPDATE control.sessions SET status = 'READY', schema_name = 'preview_{}', role_name = 'test_slot_0001',
                 ready_at = created_at WHERE id = '{id}';
             INSERT INTO control.session_transitions (session_id, at, from_status, to_status, reason, replica)
             VALUES ('{id}', now(), 'PROVISIONING', 'READY', 'test', 'another')",
            id.replace('-', "")
        );
        change.batch_execute(&ready).await?;
        change.commit().await?;
        anyhow::Ok(())
    });
    changed?;
    let (_, _, data) = events?.next().await?.context("the present state")?;
    assert_eq!(data["schemaStatus"], "READY");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_sixteen_streams_and_the_next_waits_for_one_to_end() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let ((token, _), (other, _)) = (replica.ready().await?, replica.ready().await?);
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Events::open(&replica, &token, None).await?);
    }
    let path = format!("/sessions/{token}/events");
    let next = timeout(Duration::from_secs(20), replica.get(&path))
        .await
        .context("it is a stream")??;
    assert_eq!(
        (next.status, next.code()),
        (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
    );
    assert!(next.retry_after() >= 1);
    Events::open(&replica, &other, None).await?;
    streams.pop();
    until("there is room again", async || {
        Ok(Events::open(&replica, &token, None).await.is_ok())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resume_behind_the_last_one_seen_on_any_replica() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let (one, two) = (world.replica().await?, world.replica().await?);
    let (token, _) = one.ready().await?;
    let path = format!("/sessions/{token}");
    let mut events = Events::open(&one, &token, None).await?;
    let (_, seen, _) = events.next().await?.context("the present state")?;
    drop(events);
    for tier in ["a", "b"] {
        one.call(Method::PATCH, &path, Some(json!({ "tier": tier }))).await?;
    }
    let mut events = Events::open(&two, &token, seen).await?;
    let (kind, first, _) = events.next().await?.context("the first change")?;
    assert_eq!(kind, "features");
    let (_, second, _) = events.next().await?.context("the second change")?;
    assert!(seen < first && first < second);
    one.call(Method::DELETE, &path, None).await?;
    let (kind, _, _) = events.next().await?.context("the end")?;
    assert_eq!(kind, "ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_comes_five_minutes_before_the_end() -> Result<()> {
    let mut world = World::with(&[("SCHEMA_IDLE_TIMEOUT_MIN", "1000")]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    world.advance(TimeDelta::hours(4) - TimeDelta::minutes(5) - TimeDelta::seconds(1));
    let mut events = Events::open(&replica, &token, None).await?;
    let (kind, ..) = events.next().await?.context("the present state")?;
    assert_eq!(kind, "status");
    world.advance(TimeDelta::seconds(2));
    let (kind, id, _) = events.next().await?.context("the warning")?;
    assert_eq!((kind.as_str(), id), ("expiring", None));
    world.advance(TimeDelta::minutes(5));
    let (kind, _, data) = events.next().await?.context("the end")?;
    assert_eq!((kind.as_str(), &data["reason"]), ("ended", &json!("expired")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_comes_five_minutes_before_a_silent_session_ends_and_again_after_traffic() -> Result<()> {
    let mut world = World::with(&[]).await?;
    let replica = world.replica().await?;
    let (token, _) = replica.ready().await?;
    let path = format!("/sessions/{token}");
    let mut events = Events::open(&replica, &token, None).await?;
    events.next().await?.context("the present state")?;
    for round in 0..2 {
        world.advance(TimeDelta::minutes(25) + TimeDelta::seconds(1));
        let (kind, id, data) = events.next().await?.context("the warning")?;
        assert_eq!((kind.as_str(), id), ("expiring", None));
        let end = chrono::DateTime::parse_from_rfc3339(data["expiresAt"].as_str().unwrap_or_default())?;
        let left = end.to_utc() - replica.parts.sessions.now();
        assert!(
            (298..300).contains(&left.num_seconds()),
            "five minutes, less what has passed: {left}"
        );
        // Traffic, and a change by which the stream shows that it has seen it.
        let body = json!({ "tier": format!("tier-{round}") });
        replica.call(Method::PATCH, &path, Some(body)).await?;
        assert_eq!(events.next().await?.context("the change")?.0, "features");
    }
    world.advance(TimeDelta::minutes(31));
    assert_eq!(events.next().await?.context("the warning")?.0, "expiring");
    replica.reconcile().await?;
    let (kind, _, data) = events.next().await?.context("the end")?;
    assert_eq!((kind.as_str(), &data["reason"]), ("ended", &json!("idle")));
    Ok(())
}
