//! A world of its own for each test: a database, a provisioner, one or more orchestrators, and clients.

use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::TimeDelta;
use domain::{Clock, ManualClock, SessionToken};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use orchestrator::{
    app::{self, Orchestrator},
    config::Config,
    session::reconcile::{Reconciler, Round},
};
use proto::v1::{
    operator_service_client::OperatorServiceClient, session_service_client::SessionServiceClient,
    tenant_directory_client::TenantDirectoryClient,
};
use serde_json::{Value, json};
use service::{
    config::{Reader, Secret, read},
    grpc::{Caller, caller, channel},
    lifecycle::Lifecycle,
};
use testkit::TestDatabase;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

use crate::fake::Fake;

/// The internal secret of all tests.
pub const SECRET: &str = "a-secret-that-only-these-tests-know";

/// How long something that happens by itself may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One test's world.
pub struct World {
    pub database: TestDatabase,
    pub fake: Fake,
    pub clock: ManualClock,
    settings: Vec<(String, String)>,
    /// Ends the orchestrators together with the test.
    lifecycles: Vec<Lifecycle>,
}

/// One orchestrator.
pub struct Replica {
    pub parts: Orchestrator,
    pub lifecycle: Lifecycle,
    http: legacy::Client<legacy::connect::HttpConnector, Full<bytes::Bytes>>,
}

/// An answer of the REST gateway.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    /// A world with settings beside the defaults. The reconciler works when a test says so.
    pub async fn with(settings: &[(&str, &str)]) -> Result<Self> {
        Self::on(TestDatabase::create().await?, settings).await
    }

    /// The same on a given database.
    pub async fn on(database: TestDatabase, settings: &[(&str, &str)]) -> Result<Self> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(Self {
            database,
            fake: Fake::start().await?,
            clock: ManualClock::at(Clock::system().now()),
            settings: settings.iter().map(own).collect(),
            lifecycles: Vec::new(),
        })
    }

    /// Starts an orchestrator.
    pub async fn replica(&mut self) -> Result<Replica> {
        let clock = Clock::Manual(self.clock.clone());
        self.replica_with(clock, |_| ()).await
    }

    /// Starts an orchestrator that differs.
    pub async fn replica_with(&mut self, clock: Clock, change: impl FnOnce(&mut Config)) -> Result<Replica> {
        let name = format!("replica-{}", self.lifecycles.len() + 1);
        let fixed = [
            ("DATABASE_URL", self.database.url()),
            ("INTERNAL_API_SECRET", SECRET.to_owned()),
            ("PROVISIONER_URL", self.fake.url()),
            ("PREVIEW_FRONTEND_URL", "http://app.test".to_owned()),
            ("ORCHESTRATOR_HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("ORCHESTRATOR_GRPC_ADDR", "127.0.0.1:0".to_owned()),
            ("ORCHESTRATOR_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("RECONCILE_INTERVAL_SECONDS", "3600".to_owned()),
            ("DB_POOL_SIZE", "6".to_owned()),
            ("REPLICA_NAME", name),
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
        let settings = fixed.chain(self.settings.iter().cloned());
        let mut config = read(Reader::over(settings), Config::read)?;
        // The machine may be busy; tests that need a caller to lose patience say so.
        config.policy.patience = Duration::from_secs(15);
        change(&mut config);
        let lifecycle = Lifecycle::new();
        self.lifecycles.push(lifecycle.clone());
        let parts = app::start(config, clock, prometheus::Registry::new(), &lifecycle).await?;
        Ok(Replica {
            parts,
            lifecycle,
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// Moves the time.
    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// The recorded transitions of a session, as `from>to`.
    pub async fn transitions(&self, id: &str) -> Result<Vec<String>> {
        let rows = self
            .database
            .connect()
            .await?
            .query(
                "SELECT coalesce(from_status, '') || '>' || to_status FROM control.session_transitions
                 WHERE session_id = $1::text::uuid ORDER BY id",
                &[&id],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// One column of a session's row, as text.
    pub async fn column(&self, id: &str, column: &str) -> Result<Option<String>> {
        let sql = format!("SELECT {column}::text FROM control.sessions WHERE id = $1::text::uuid");
        let row = self.database.connect().await?.query_one(&sql, &[&id]).await?;
        Ok(row.get(0))
    }

    /// How many sessions there are.
    pub async fn count_all(&self) -> Result<i64> {
        let sql = "SELECT count(*) FROM control.sessions";
        Ok(self.database.connect().await?.query_one(sql, &[]).await?.get(0))
    }

    /// How many sessions are in a state.
    pub async fn count(&self, status: &str) -> Result<i64> {
        let sql = "SELECT count(*) FROM control.sessions WHERE status = $1";
        Ok(self.database.connect().await?.query_one(sql, &[&status]).await?.get(0))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.lifecycles.iter().for_each(Lifecycle::stop);
    }
}

impl Replica {
    /// Calls the REST gateway. The path is below `/api/preview`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let headers = body.as_ref().map(|_| ("content-type", "application/json"));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.raw(method, path, headers.as_slice(), body).await
    }

    /// Calls it with any headers and body.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}/api/preview{path}", self.parts.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into()))?).await?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_json = parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/json");
        let body = if is_json {
            serde_json::from_str(&text).context(text)?
        } else {
            Value::String(text)
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    /// Creates a session of the shop.
    pub async fn create(&self) -> Result<Answer> {
        self.call(Method::POST, "/sessions", Some(shop())).await
    }

    /// Creates one that must be READY: its token and id.
    pub async fn ready(&self) -> Result<(String, String)> {
        let answer = self.create().await?;
        ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
        ensure!(answer.data("schemaStatus") == "READY", "{answer:?}");
        Ok((answer.text("sessionToken"), answer.text("id")))
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, None).await
    }

    /// One round of this replica's reconciler.
    pub async fn reconcile(&self) -> Result<Option<Round>> {
        let mut reconciler = Reconciler::new(self.parts.sessions.clone(), Duration::from_secs(1));
        Ok(reconciler.round().await?)
    }

    pub fn channel(address: SocketAddr) -> Result<InterceptedService<Channel, Caller>> {
        let caller = caller(&Secret::new(SECRET))?;
        Ok(InterceptedService::new(channel(&format!("http://{address}"))?, caller))
    }

    pub fn studio(&self) -> Result<SessionServiceClient<InterceptedService<Channel, Caller>>> {
        Ok(SessionServiceClient::new(Self::channel(self.parts.grpc)?))
    }

    pub fn operators(&self) -> Result<OperatorServiceClient<InterceptedService<Channel, Caller>>> {
        Ok(OperatorServiceClient::new(Self::channel(self.parts.grpc)?))
    }

    pub fn directory(&self) -> Result<TenantDirectoryClient<InterceptedService<Channel, Caller>>> {
        Ok(TenantDirectoryClient::new(Self::channel(self.parts.grpc)?))
    }
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The fields that are named as wrong.
    pub fn fields(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array();
        details
            .map(|details| details.iter().filter_map(|detail| detail["field"].as_str()).collect())
            .unwrap_or_default()
    }

    pub fn data(&self, field: &str) -> &Value {
        &self.body["data"][field]
    }

    pub fn text(&self, field: &str) -> String {
        self.data(field).as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn retry_after(&self) -> i64 {
        self.header("retry-after").parse().expect("a Retry-After in seconds")
    }
}

/// What a visitor of the shop sends.
pub fn shop() -> Value {
    json!({
        "selectedFeatures": ["auth.basic", "ecommerce.products", "ecommerce.cart", "payments.oneTime"],
        "tier": "pro",
    })
}

/// A token that nobody has.
pub fn stranger() -> String {
    SessionToken::random().expect("randomness").reveal().to_owned()
}

/// Waits until something that happens by itself has happened.
pub async fn until<F, R>(what: &str, mut check: F) -> Result<()>
where
    F: FnMut() -> R,
    R: Future<Output = Result<bool>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !check().await? {
        ensure!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
