//! The running stack: where it is, and sessions in it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use devstack::{environment::variable, http::Client};
use futures::future::try_join_all;
use http::{Method, Request};
use proto::v1::{
    PoolStatusRequest, PoolStatusResponse, SetPoolTargetRequest, provisioner_service_client::ProvisionerServiceClient,
};
use serde_json::{Value, json};
use service::{
    config::Secret,
    grpc::{Caller, caller, channel},
};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

/// Creations at once while something is only prepared.
const HELPERS: usize = 4;
/// How long the pool may take to come to rest.
const REST: Duration = Duration::from_secs(600);

/// Modules beside core are those of the features.
pub const SHOP: [&str; 2] = ["ecommerce.products", "ecommerce.cart"];
/// All seven.
pub const ALL: [&str; 7] = [
    "ecommerce",
    "lms",
    "booking",
    "helpdesk",
    "invoicing",
    "events",
    "tasks",
];

/// What `devstack run` started.
pub struct Stack {
    gateway: String,
    /// The first replica of the tenant-api.
    pub tenant: String,
    admin: [String; 2],
    /// Process ids by name.
    pub processes: Vec<(&'static str, u32)>,
    client: Client,
    provisioner: ProvisionerServiceClient<InterceptedService<Channel, Caller>>,
    database: tokio_postgres::Client,
    database_url: String,
    /// Tasks that drive connections; they end with the stack.
    _connections: JoinSet<()>,
}

/// A session that was created.
#[derive(Clone, Debug)]
pub struct Session {
    /// What visitors send.
    pub token: String,
    /// Where its rows are.
    pub schema: String,
}

impl Stack {
    /// Looks into the environment.
    pub async fn find() -> Result<Self> {
        let told = |name: &str| {
            variable(name).with_context(|| format!("{name} is not set: run this through one of the scripts in bench/"))
        };
        let pid = |name: &str| {
            told(name)?
                .parse::<u32>()
                .with_context(|| format!("{name} is no process id"))
        };
        let database_url = told("DATABASE_URL")?;
        let mut connections = JoinSet::new();
        let database = connect(&database_url, &mut connections).await?;
        let secret = Secret::new(told("INTERNAL_API_SECRET")?);
        Ok(Self {
            gateway: format!("{}/api/preview/sessions", told("PREVIEW_URL")?),
            tenant: told("TENANT_API_URL")?,
            admin: [told("PREVIEW_ADMIN_URL")?, told("PROVISIONER_ADMIN_URL")?],
            processes: vec![
                ("orchestrator", pid("ORCHESTRATOR_PID")?),
                ("provisioner", pid("PROVISIONER_PID")?),
                ("tenant-api", pid("TENANT_API_PID")?),
            ],
            client: Client::new(Duration::from_secs(120)),
            provisioner: ProvisionerServiceClient::with_interceptor(
                channel(&told("PROVISIONER_GRPC_URL")?)?,
                caller(&secret)?,
            ),
            database,
            database_url,
            _connections: connections,
        })
    }

    /// A connection to the database, as superuser.
    pub fn database(&self) -> &tokio_postgres::Client {
        &self.database
    }

    /// A further one; `connections` drives it.
    pub async fn connect(&self, connections: &mut JoinSet<()>) -> Result<tokio_postgres::Client> {
        connect(&self.database_url, connections).await
    }

    /// The text of `/metrics` of orchestrator and provisioner.
    pub async fn metrics(&self) -> Result<[String; 2]> {
        let [orchestrator, provisioner] = &self.admin;
        Ok([
            self.client.get(&format!("{orchestrator}/metrics")).await?.text(),
            self.client.get(&format!("{provisioner}/metrics")).await?.text(),
        ])
    }

    /// Creates a session and waits until it is ready; the time until then. One that is not ready within the answer
    /// is asked for until it is.
    pub async fn create(&self, features: &[&str]) -> Result<(Session, Duration)> {
        let wanted = json!({ "selectedFeatures": features, "tier": "pro" });
        let started = Instant::now();
        let answer = self.client.post(&self.gateway, &wanted).await?;
        let mut took = started.elapsed();
        let mut session = answer.json()["data"].take();
        if !answer.status.is_success() {
            bail!("a session was refused: {} {}", answer.status, answer.text());
        }
        let token = text(&session, "sessionToken")?;
        let mut pause = Duration::from_millis(25);
        while session["schemaStatus"] != "READY" {
            if session["schemaStatus"] == "FAILED" || took > Duration::from_secs(60) {
                bail!("a session does not get ready: {session}");
            }
            // Many that wait must not keep the machine busy with their asking.
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(Duration::from_millis(500));
            session = self.client.get(&format!("{}/{token}", self.gateway)).await?.json()["data"].take();
            took = started.elapsed();
        }
        let schema = format!("preview_{}", text(&session, "id")?.replace('-', ""));
        Ok((Session { token, schema }, took))
    }

    /// That many sessions, a few at a time.
    pub async fn create_many(&self, count: usize, features: &[&str]) -> Result<Vec<Session>> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            let batch = HELPERS.min(count - sessions.len());
            let made = try_join_all((0..batch).map(|_| self.create(features))).await?;
            sessions.extend(made.into_iter().map(|(session, _)| session));
        }
        Ok(sessions)
    }

    /// A visitor looks at the products and puts one in the cart.
    pub async fn shop(&self, session: &Session) -> Result<()> {
        let request = |method: Method, path: &str, body: Value| {
            Request::builder()
                .method(method)
                .uri(format!("{}/api/v1/ecommerce/{path}", self.tenant))
                .header("x-preview-session", &session.token)
                .header("content-type", "application/json")
                .body(Bytes::from(body.to_string()))
        };
        let products = self
            .client
            .send(request(Method::GET, "products", Value::Null)?)
            .await?
            .json();
        // The first may be out of stock.
        let product = products["data"]
            .as_array()
            .and_then(|all| all.iter().find(|product| product["stock"] != 0));
        let product = product.with_context(|| format!("nothing to buy: {products}"))?;
        let line = json!({ "productId": product["id"], "quantity": 1 });
        let answer = self.client.send(request(Method::POST, "cart/items", line)?).await?;
        if !answer.status.is_success() {
            bail!("nothing was put in the cart: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Ends a session; the time until the answer.
    pub async fn end(&self, session: &Session) -> Result<Duration> {
        let request = Request::delete(format!("{}/{}", self.gateway, session.token)).body(Bytes::new())?;
        let started = Instant::now();
        let answer = self.client.send(request).await?;
        if !answer.status.is_success() {
            bail!("a session was not ended: {} {}", answer.status, answer.text());
        }
        Ok(started.elapsed())
    }

    /// Ends sessions and waits until the pool is at rest.
    pub async fn end_all(&self, sessions: &[Session]) -> Result<()> {
        for batch in sessions.chunks(HELPERS) {
            try_join_all(batch.iter().map(|session| self.end(session))).await?;
        }
        self.rest().await.map(drop)
    }

    /// Waits until no slot is made, emptied or dropped.
    pub async fn rest(&self) -> Result<PoolStatusResponse> {
        let end = Instant::now() + REST;
        let mut provisioner = self.provisioner.clone();
        loop {
            let levels = provisioner.pool_status(PoolStatusRequest {}).await?.into_inner();
            if levels.gone == 0 && levels.preparing == 0 && levels.ready >= levels.target {
                return Ok(levels);
            }
            if Instant::now() > end {
                bail!("the pool does not come to rest: {levels:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Changes how many ready slots are kept, and waits for it.
    pub async fn set_pool_target(&self, target: u32) -> Result<()> {
        let request = SetPoolTargetRequest { target };
        self.provisioner.clone().set_pool_target(request).await?;
        self.rest().await.map(drop)
    }

    /// Brings the pool to where work has brought it before: `slots` slots that were lived in and emptied.
    pub async fn settle(&self, slots: usize) -> Result<()> {
        eprintln!("making {slots} slots that were used before");
        let sessions = self.create_many(slots, &ALL).await?;
        self.end_all(&sessions).await
    }
}

async fn connect(url: &str, connections: &mut JoinSet<()>) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .context("DATABASE_URL cannot be reached")?;
    connections.spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value[field].as_str();
    text.map(str::to_owned)
        .with_context(|| format!("no {field} in {value}"))
}
