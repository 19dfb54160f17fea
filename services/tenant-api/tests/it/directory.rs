//! Who is behind a token: asked once, kept for a while, forgotten when the control plane says so, and never served
//! beyond the session's end.

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::TimeDelta;
use domain::{Clock, ManualClock, SessionId, SessionToken, TokenHash};
use fault::codes;
use futures::future::join_all;
use proto::v1::{SessionStatus, Tenant as Wire, tenant_directory_server::TenantDirectoryServer};
use service::{config::Secret, grpc::CallerTls, lifecycle::Lifecycle};
use tenant_api::tenant::{
    Lookup,
    directory::{self, Directory},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;

use crate::harness::{
    App,
    directory::{Directory as ControlPlane, Mood},
    eventually,
};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

/// A directory and the control plane that it asks.
struct Scene {
    control_plane: ControlPlane,
    directory: Directory,
    clock: ManualClock,
    tasks: JoinSet<()>,
}

impl Scene {
    /// With answers that live for `life`; nothing follows invalidations yet.
    async fn new(life: Duration) -> Result<Self> {
        let control_plane = ControlPlane::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = directory::connect(
            &format!("http://{}", listener.local_addr()?),
            &CallerTls::default(),
            &Secret::new("a secret of at least thirty-two bytes"),
        )?;
        let serve = tonic::transport::Server::builder()
            .add_service(TenantDirectoryServer::new(control_plane.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = serve.await;
        });
        let clock = ManualClock::at(Clock::system().now());
        Ok(Self {
            directory: Directory::new(client, life, Clock::Manual(clock.clone())),
            control_plane,
            clock,
            tasks,
        })
    }

    /// One more session, which ends in an hour.
    fn session(&self) -> TokenHash {
        let now = Clock::Manual(self.clock.clone()).now();
        let id = SessionId::new(now);
        let token = SessionToken::random().expect("random numbers").hash();
        let wire = Wire {
            session_id: id.to_string(),
            token_hash: token.as_bytes().to_vec(),
            status: SessionStatus::Ready.into(),
            schema_name: domain::SchemaName::of(id).to_string(),
            role_name: "test_slot_0001".into(),
            generation: 1,
            currency: "USD".into(),
            expires_at: Some(proto::timestamp(now + TimeDelta::hours(1))),
            ..Wire::default()
        };
        self.control_plane.insert(token, wire);
        token
    }

    /// The generation that the directory tells; `None` when the session is not ready.
    async fn generation(&self, token: TokenHash) -> Option<i64> {
        match self.directory.find(token).await {
            Ok(Lookup::Ready(tenant)) => Some(tenant.generation),
            _ => None,
        }
    }

    /// Follows invalidations, and returns once one has arrived.
    async fn follow(&mut self) {
        let (directory, probe) = (self.directory.clone(), self.session());
        self.tasks
            .spawn(async move { directory.follow(&Lifecycle::new()).await });
        let mut known = self.generation(probe).await;
        eventually("invalidations arrive", async || {
            // What was kept is asked for anew after an invalidation only.
            let before = std::mem::replace(&mut known, self.generation(probe).await);
            self.control_plane.change(probe, |_| ());
            known > before
        })
        .await;
        // The stream's beginning may have been what was seen, and those of the probe may be under way still. They come in
        // order: none is when one of another session has arrived.
        let last = self.session();
        assert_eq!(self.generation(last).await, Some(1));
        self.control_plane.change(last, |_| ());
        eventually("the last invalidation arrives", async || {
            self.generation(last).await == Some(2)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_requests_ask_once() -> Result<()> {
    let scene = Scene::new(LONG).await?;
    let token = scene.session();
    scene.control_plane.be(Mood::Hanging);
    let requests = join_all((0..100).map(|_| scene.generation(token)));
    let release = async {
        eventually("the question arrives", async || scene.control_plane.resolved() > 0).await;
        scene.control_plane.be(Mood::Well);
    };
    let (found, ()) = tokio::join!(requests, release);
    assert!(found.iter().all(|generation| *generation == Some(1)), "{found:?}");
    assert_eq!(scene.control_plane.resolved(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_wrong_form_is_asked_for_never() -> Result<()> {
    let app = App::start(&[]).await?;
    let asked = app.control_plane().resolved();
    let long = "a".repeat(129);
    for malformed in [
        "",
        "short",
        "with_underscores_and_more",
        "with spaces in it, twenty",
        long.as_str(),
    ] {
        let refused = app.bare().session(malformed).get("/api/v1/config").await?;
        refused.error(401, "SESSION_REQUIRED");
    }
    assert_eq!(app.control_plane().resolved(), asked);
    let unknown = app.bare().session("0123456789abcdefghijklmnopqrstuv");
    unknown.get("/api/v1/config").await?.error(404, "SESSION_NOT_FOUND");
    assert_eq!(app.control_plane().resolved(), asked + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_asked_for_once_until_the_answer_ages() -> Result<()> {
    let token = SessionToken::random()?.hash();
    let scene = Scene::new(LONG).await?;
    for _ in 0..50 {
        assert!(matches!(scene.directory.find(token).await, Ok(Lookup::Unknown)));
    }
    assert_eq!(scene.control_plane.resolved(), 1);

    let scene = Scene::new(SHORT).await?;
    eventually("it is asked for again", async || {
        assert!(matches!(scene.directory.find(token).await, Ok(Lookup::Unknown)));
        scene.control_plane.resolved() > 1
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_its_life_and_not_longer() -> Result<()> {
    for (life, changes) in [(LONG, false), (SHORT, true)] {
        let scene = Scene::new(life).await?;
        let token = scene.session();
        assert_eq!(scene.generation(token).await, Some(1));
        scene.control_plane.change_silently(token, |_| ());
        if changes {
            eventually("the new answer is seen", async || {
                scene.generation(token).await == Some(2)
            })
            .await;
        } else {
            assert_eq!(scene.generation(token).await, Some(1));
            assert_eq!(scene.control_plane.resolved(), 1);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn known_sessions_go_on_while_the_control_plane_is_away_and_others_are_asked_to_wait() -> Result<()> {
    let scene = Scene::new(SHORT).await?;
    let (known, new) = (scene.session(), scene.session());
    assert_eq!(scene.generation(known).await, Some(1));

    scene.control_plane.be(Mood::Away);
    let before = scene.control_plane.resolved();
    eventually("the old answer has aged", async || {
        assert_eq!(scene.generation(known).await, Some(1));
        scene.control_plane.resolved() > before
    })
    .await;
    assert_eq!(scene.generation(known).await, Some(1));
    let fault = scene.directory.find(new).await.expect_err("nothing is known of it");
    assert_eq!(fault.code(), codes::UNAVAILABLE);

    scene.control_plane.change_silently(known, |_| ());
    scene.control_plane.be(Mood::Well);
    eventually("both are served anew", async || {
        scene.generation(known).await == Some(2) && scene.generation(new).await == Some(1)
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_session_does_not_wait_for_a_hanging_control_plane_nor_outlive_its_end() -> Result<()> {
    let scene = Scene::new(SHORT).await?;
    let known = scene.session();
    assert_eq!(scene.generation(known).await, Some(1));
    scene.control_plane.be(Mood::Hanging);
    let before = scene.control_plane.resolved();
    eventually("it was asked in vain", async || {
        let started = Instant::now();
        assert_eq!(scene.generation(known).await, Some(1));
        assert!(
            started.elapsed() < Duration::from_millis(1900),
            "{:?}",
            started.elapsed()
        );
        scene.control_plane.resolved() > before
    })
    .await;
    scene.clock.advance(TimeDelta::hours(1));
    assert!(matches!(scene.directory.find(known).await, Ok(Lookup::Over)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_over_at_its_minute_whatever_is_cached() -> Result<()> {
    let scene = Scene::new(LONG).await?;
    let token = scene.session();
    assert_eq!(scene.generation(token).await, Some(1));
    scene.clock.advance(TimeDelta::milliseconds(3_599_999));
    assert_eq!(scene.generation(token).await, Some(1));
    scene.clock.advance(TimeDelta::milliseconds(1));
    let over = scene.directory.find(token).await.and_then(directory::ready);
    assert_eq!(over.expect_err("it is over").code(), codes::SESSION_EXPIRED);
    assert_eq!(scene.control_plane.resolved(), 1, "nobody had to be asked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_drops_one_answer_and_a_gap_drops_all() -> Result<()> {
    let mut scene = Scene::new(LONG).await?;
    scene.follow().await;
    let (one, other) = (scene.session(), scene.session());
    for token in [one, other] {
        assert_eq!(scene.generation(token).await, Some(1));
    }
    scene.control_plane.change_silently(other, |_| ());
    scene.control_plane.change(one, |_| ());
    eventually("the change is seen", async || scene.generation(one).await == Some(2)).await;
    assert_eq!(
        scene.generation(other).await,
        Some(1),
        "its answer was not told to be wrong"
    );

    scene.control_plane.invalidate(one, 2);
    eventually("a gap drops all", async || scene.generation(other).await == Some(2)).await;

    scene.control_plane.change_silently(other, |_| ());
    scene.control_plane.break_streams();
    eventually("a broken stream drops all", async || {
        scene.generation(other).await == Some(3)
    })
    .await;
    eventually("the stream is followed again", async || {
        scene.control_plane.followers() > 0
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_an_invalidation_overtook_is_not_kept() -> Result<()> {
    let scene = Scene::new(LONG).await?;
    let token = scene.session();
    scene.control_plane.be(Mood::Hanging);
    let overtake = async {
        eventually("the question arrives", async || scene.control_plane.resolved() == 1).await;
        scene.directory.forget(token).await;
        scene.control_plane.be(Mood::Well);
    };
    tokio::join!(scene.generation(token), overtake);
    scene.control_plane.change_silently(token, |_| ());
    assert_eq!(scene.generation(token).await, Some(2));

    // While the control plane is away the last answer serves, unless the database has contradicted it.
    scene.control_plane.be(Mood::Away);
    scene.directory.forget(token).await;
    assert_eq!(scene.generation(token).await, Some(2));
    scene.directory.disown(token).await;
    assert!(scene.directory.find(token).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_refused_at_once_although_its_answer_is_cached() -> Result<()> {
    let app = App::builder()
        .set("TENANT_CACHE_TTL_SECONDS", "3600")
        .start(&["ecommerce"])
        .await?;
    let products = "/api/v1/ecommerce/products";
    app.visitor().get(products).await?.data(200);
    let asked = app.control_plane().resolved();

    // The first act of an end is to take the schema's name away, in the transaction that records it.
    app.change_silently(|tenant| tenant.status = SessionStatus::Dropped.into());
    app.sql(&format!("ALTER SCHEMA {} RENAME TO gone_0001", app.schema.quoted()))
        .await?;
    assert_eq!(app.control_plane().resolved(), asked, "the answer is cached still");
    app.visitor().get(products).await?.error(410, "SESSION_EXPIRED");
    assert_eq!(
        app.control_plane().resolved(),
        asked + 1,
        "the database's word was checked"
    );
    app.visitor().get(products).await?.error(410, "SESSION_EXPIRED");
    assert_eq!(app.control_plane().resolved(), asked + 1, "from now on it is known");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_a_fresh_schema_is_found_again_and_our_own_faults_are_not_blamed_on_it() -> Result<()> {
    let app = App::builder()
        .set("TENANT_CACHE_TTL_SECONDS", "3600")
        .start(&["ecommerce"])
        .await?;
    let products = "/api/v1/ecommerce/products";
    app.visitor().get(products).await?.data(200);

    // Prepared anew under another name.
    let moved = domain::SchemaName::of(SessionId::new(Clock::system().now()));
    app.sql(&format!(
        "ALTER SCHEMA {} RENAME TO {}",
        app.schema.quoted(),
        moved.quoted()
    ))
    .await?;
    app.change_silently(|tenant| tenant.schema_name = moved.to_string());
    app.visitor().get(products).await?.data(200);

    // The control plane says that nothing has changed: a missing right is a fault of ours.
    let role = app.tenant().await.role.quoted();
    app.sql(&format!(
        "REVOKE SELECT ON {}.ecommerce_products FROM {role}",
        moved.quoted()
    ))
    .await?;
    app.visitor().get(products).await?.error(500, "INTERNAL");

    // It cannot be asked: that is no reason to call the session over.
    app.control_plane().be(Mood::Away);
    app.visitor().get(products).await?.error(503, "UNAVAILABLE");
    Ok(())
}
