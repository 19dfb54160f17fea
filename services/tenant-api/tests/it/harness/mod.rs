//! What the tests of this crate stand on: a database of their own, sessions in it, and the real router on a socket.
//!
//! ```ignore
//! let app = App::start(&["ecommerce"]).await?;              // one session, seeded
//! let (visitor, admin) = (app.visitor(), app.admin().await?); // testkit::Api; admin, staff, user or sign_in(email)
//! let other = app.session(&["lms"]).await?;                 // one more session beside it
//! app.value("SELECT count(*) FROM users").await?;           // as superuser, in the session's schema
//! App::builder().set("MAX_ROWS_PER_TABLE", "20").pool(2).manual_clock().start(&[]).await?;
//! ```

pub mod described;
pub mod directory;
mod parts;
mod race;

use std::{collections::BTreeMap, net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use described::Described;
use directory::Directory as Fake;
use domain::{Clock, ManualClock, RoleName, SchemaName, SessionId, SessionToken, TokenHash};
use modules::{CORE, MODULES, Module, Selection};
use proto::v1::{SessionStatus, Tenant, tenant_directory_server::TenantDirectoryServer};
use service::{
    config::{Reader, read},
    lifecycle::Lifecycle,
    telemetry::Registry,
};
use tenant_api::{
    auth::{Role, opaque},
    config::Config,
    http::Spent,
    internal,
    modules::{PARTS, Part, Served},
    tenant::directory::{self as real, Directory},
};
use testkit::{Api, TestDatabase};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_stream::wrappers::TcpListenerStream;
use uuid::Uuid;

/// How a tenant-api of a test differs from the product's defaults.
pub struct Builder {
    settings: BTreeMap<&'static str, String>,
    manual: bool,
    further: Vec<(&'static Module, Part)>,
}

impl Builder {
    /// A setting by its variable.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.to_owned());
        self
    }

    /// Connections of the tenant-api.
    pub fn pool(self, connections: u32) -> Self {
        self.set("DB_POOL_SIZE", &connections.to_string())
    }

    /// One more module than the product has.
    pub fn module(mut self, module: &'static Module, part: Part) -> Self {
        self.further.push((module, part));
        self
    }

    /// Time stands still until [`App::advance`] moves it.
    pub fn manual_clock(mut self) -> Self {
        self.manual = true;
        self
    }

    /// Starts it with one session of these features.
    pub async fn start(self, features: &[&str]) -> Result<App> {
        let database = TestDatabase::create().await?;
        database.install().await?;
        let admin = database.connect().await?;
        admin.batch_execute(modules::SEED_FUNCTIONS).await?;

        let fake = Fake::new();
        let mut tasks = JoinSet::new();
        let (listener, orchestrator) = listen().await?;
        let serve = tonic::transport::Server::builder()
            .add_service(TenantDirectoryServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn(async move {
            let _ = serve.await;
        });

        let clock = Clock::system();
        let manual = self.manual.then(|| ManualClock::at(clock.now()));
        let clock = manual.clone().map_or(clock, Clock::Manual);
        let mut settings = self.settings;
        // As many as race.
        settings
            .entry("SESSION_REQUESTS_AT_ONCE")
            .or_insert_with(|| "16".to_owned());
        settings.insert("DATABASE_URL", database.url_as("tenant")?);
        settings.insert("ORCHESTRATOR_URL", format!("http://{orchestrator}"));
        for name in ["INTERNAL_API_SECRET", "JWT_SECRET"] {
            settings.insert(name, database.secrets().get(name).to_owned());
        }
        let config = read(Reader::over(settings), Config::read)?;
        let lifecycle = Lifecycle::new();
        let client = real::connect(&config.orchestrator, &config.orchestrator_tls, &config.internal_secret)?;
        let directory = Directory::new(client, config.tenant_cache, clock.clone());
        let follower = directory.clone();
        let following = lifecycle.clone();
        tasks.spawn(async move { follower.follow(&following).await });
        let (modules, parts): (Vec<_>, Vec<_>) = self.further.into_iter().unzip();
        let served = Served::of(
            MODULES.iter().copied().chain(modules.clone()),
            PARTS.iter().chain(&parts),
        );
        let server = tenant_api::http::App::build(&config, served, directory, &lifecycle, clock.clone())?;
        let described = Described::new(&server.routes);
        let router = server.router(&config)?.layer(axum::middleware::map_response(thrifty));
        let public = serve_on(&mut tasks, router).await?;
        let secret = config.internal_secret.clone();
        let private = serve_on(
            &mut tasks,
            internal::routes(Arc::clone(&server), secret, Registry::new()),
        )
        .await?;

        let host = Arc::new(Host {
            _tasks: tasks,
            server,
            further: modules,
            described,
            fake,
            admin,
            clock,
            manual,
            public: format!("http://{public}"),
            private: format!("http://{private}"),
            database,
        });
        let first = host.session(features).await?;
        Ok(App { host, first })
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Operations that may send as many as they have parts: a dashboard, and a purchase.
const RICH: [&str; 2] = ["core.admin.dashboard", "ecommerce.cart.checkout"];
/// Statements of any other request: BEGIN with role and search_path is no statement but a message of its own, as is
/// COMMIT. Near a row limit two more keep it ([`tenant_api::closing`]).
pub const MOST: u32 = 6;

/// Turns every answer that took too many statements into a failure that says so: whichever test asked, it fails.
async fn thrifty(response: Response) -> Response {
    let Some(Spent {
        route,
        statements,
        near_limit,
    }) = response.extensions().get::<Spent>().cloned()
    else {
        return response;
    };
    let name = format!("{}.{}.{}", route.module, route.resource, route.operation);
    if statements <= MOST + 2 * u32::from(near_limit) || RICH.contains(&name.as_str()) {
        return response;
    }
    let text = format!("{name} sent {statements} statements");
    println!("{text}");
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

async fn serve_on(tasks: &mut JoinSet<()>, router: axum::Router) -> Result<SocketAddr> {
    let (listener, address) = listen().await?;
    tasks.spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok(address)
}

/// A running tenant-api with one session; it derefs to that session.
pub struct App {
    host: Arc<Host>,
    first: Session,
}

/// The parts that all sessions of a test share. Dropped in this order.
struct Host {
    _tasks: JoinSet<()>,
    server: Arc<tenant_api::http::App>,
    further: Vec<&'static Module>,
    described: Arc<Described>,
    fake: Fake,
    admin: Client,
    clock: Clock,
    manual: Option<ManualClock>,
    public: String,
    private: String,
    database: TestDatabase,
}

impl App {
    /// One with the product's defaults, but with time and without limits on how often a session may call.
    pub async fn start(features: &[&str]) -> Result<Self> {
        Self::builder().start(features).await
    }

    /// One that differs.
    pub fn builder() -> Builder {
        let settings = BTreeMap::from([
            ("SESSION_REQUESTS_PER_MINUTE", "0".to_owned()),
            ("AUTH_WRITES_PER_MINUTE", "0".to_owned()),
            ("CONTACT_MESSAGES_PER_MINUTE", "0".to_owned()),
            // A race waits for its last runner, however busy the machine is.
            ("STATEMENT_TIMEOUT_MS", "60000".to_owned()),
            ("REQUEST_TIMEOUT_SECONDS", "120".to_owned()),
        ]);
        Builder {
            settings,
            manual: false,
            further: Vec::new(),
        }
    }

    /// One more session.
    pub async fn session(&self, features: &[&str]) -> Result<Session> {
        self.host.session(features).await
    }

    /// The private port, with the internal secret.
    pub fn private(&self) -> Api {
        let secret = self.host.database.secrets().get("INTERNAL_API_SECRET").to_owned();
        Api::new(&self.host.private).with("x-internal-secret", &secret)
    }

    /// The public port, without a session.
    pub fn bare(&self) -> Api {
        self.host.api()
    }

    /// Moves a manual clock.
    pub fn advance(&self, by: TimeDelta) {
        self.host
            .manual
            .as_ref()
            .expect("a test that asked for a manual clock")
            .advance(by);
    }

    /// Statements that all requests have sent so far, BEGIN and COMMIT left out.
    pub fn statements(&self) -> u64 {
        self.host.server.pool.statements()
    }
}

impl Deref for App {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.first
    }
}

impl Host {
    /// The public port; every answer is held against the OpenAPI document.
    fn api(&self) -> Api {
        let described = Arc::clone(&self.described);
        Api::new(&self.public).watched(Arc::new(move |method, path, answer| {
            described.hold(method, path, answer);
        }))
    }

    async fn session(self: &Arc<Self>, features: &[&str]) -> Result<Session> {
        let selection = Selection::of(features.iter().copied())?;
        let now = self.clock.now();
        let id = SessionId::new(now);
        let token = SessionToken::random().map_err(|error| anyhow::anyhow!("{error}"))?;
        let schema = SchemaName::of(id);
        let role = RoleName::parse(&format!(
            "{}_slot_{}",
            self.database.name(),
            &id.uuid().simple().to_string()[20..]
        ))?;
        let tenant = RoleName::parse(&format!("{}_tenant", self.database.name()))?;
        let mut granted = vec![CORE];
        granted.extend(&selection.modules);
        granted.extend(&self.further);
        let mut enabled: Vec<&str> = selection.enabled.clone();
        let further = self.further.iter().flat_map(|module| module.features);
        enabled.extend(
            further
                .map(|feature| feature.slug)
                .filter(|slug| features.contains(slug)),
        );
        let tables: String = self.further.iter().map(|module| module.tables).collect();
        let version: i32 = self
            .admin
            .query_one("SELECT current_setting('server_version_num')::int", &[])
            .await?
            .get(0);
        let membership = if version >= 160_000 {
            " WITH INHERIT FALSE, SET TRUE"
        } else {
            ""
        };
        let (name, role_name) = (schema.quoted(), role.quoted());
        // As the provisioner does it, in one go.
        self.admin
            .batch_execute(&format!(
                "BEGIN; CREATE ROLE {role_name} NOLOGIN NOINHERIT; GRANT {role_name} TO {}{membership};
                 CREATE SCHEMA {name}; SET LOCAL search_path = {name};
                 SET LOCAL livepreview.seed = '{id}'; SET LOCAL livepreview.currency = 'USD';
                 {}
                 {tables}
                 {}
                 {};
                 GRANT USAGE ON SCHEMA {name} TO {role_name};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role_name}; COMMIT",
                tenant.quoted(),
                modules::tables_sql(),
                modules::seed_sql(&granted),
                modules::identity_sql(role.as_str()),
            ))
            .await
            .map_err(|error| anyhow::anyhow!("the session cannot be prepared: {error:?}"))?;
        let wire = Tenant {
            session_id: id.to_string(),
            token_hash: token.hash().as_bytes().to_vec(),
            status: SessionStatus::Ready.into(),
            schema_name: schema.to_string(),
            role_name: role.to_string(),
            generation: 1,
            selected_features: selection.selected,
            enabled_features: enabled.into_iter().map(str::to_owned).collect(),
            ignored_features: selection.ignored,
            currency: "USD".into(),
            tier: "starter".into(),
            expires_at: Some(proto::timestamp(now + TimeDelta::hours(24))),
        };
        self.fake.insert(token.hash(), wire);
        Ok(Session {
            visitor: self.api().session(token.reveal()),
            host: Arc::clone(self),
            token,
            id,
            schema,
        })
    }
}

/// One session of a test.
pub struct Session {
    host: Arc<Host>,
    visitor: Api,
    /// Its token.
    pub token: SessionToken,
    /// Its id.
    pub id: SessionId,
    /// Its schema.
    pub schema: SchemaName,
}

impl Session {
    /// Somebody who is not signed in.
    pub fn visitor(&self) -> &Api {
        &self.visitor
    }

    /// Ada, the admin.
    pub async fn admin(&self) -> Result<Api> {
        self.sign_in("admin@preview.local").await
    }

    /// Mira, of the staff.
    pub async fn staff(&self) -> Result<Api> {
        self.sign_in("mira.solberg@preview.local").await
    }

    /// Aiko, a plain user.
    pub async fn user(&self) -> Result<Api> {
        self.sign_in("aiko.tanabe@preview.local").await
    }

    /// Noah, another plain user.
    pub async fn other_user(&self) -> Result<Api> {
        self.sign_in("noah.okafor@preview.local").await
    }

    /// Somebody by address, without the slow way over a password.
    pub async fn sign_in(&self, email: &str) -> Result<Api> {
        let (sign_in, family, secret) = (Uuid::now_v7(), Uuid::now_v7(), opaque::generate()?);
        let sql = format!(
            "INSERT INTO {0}.auth_sessions (id, user_id, family_id, refresh_hash, last_used_at, expires_at)
             SELECT $1, id, $2, $3, now(), now() + interval '1 year' FROM {0}.users WHERE email = $4
             RETURNING user_id, (SELECT role FROM {0}.users WHERE id = user_id)",
            self.schema.quoted()
        );
        let row = self
            .host
            .admin
            .query_opt(&sql, &[&sign_in, &family, &opaque::hash(&secret), &email])
            .await?
            .with_context(|| format!("nobody has the address {email}"))?;
        let role = Role::parse(row.get(1));
        let issued = self
            .host
            .server
            .tokens
            .issue(self.id, row.get(0), role, sign_in, self.host.clock.now());
        let (token, _) = issued.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(self.visitor.bearer(&token))
    }

    /// The id of a user.
    pub async fn user_id(&self, email: &str) -> Result<String> {
        self.value(&format!("SELECT id FROM users WHERE email = '{email}'"))
            .await
    }

    /// Runs SQL as superuser in the session's schema; several statements may come together.
    pub async fn sql(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let script = format!("BEGIN; SET LOCAL search_path = {}; {sql}; COMMIT", self.schema.quoted());
        let messages = self.host.admin.simple_query(&script).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The one value that a query finds; an empty text for NULL.
    pub async fn value(&self, sql: &str) -> Result<String> {
        let rows = self.sql(sql).await?;
        ensure!(rows.len() == 1, "{sql} found {} rows", rows.len());
        Ok(rows[0][0].clone().unwrap_or_default())
    }

    /// Grants other features; what the session has stays.
    pub async fn grant(&self, features: &[&str]) -> Result<()> {
        let selection = Selection::of(features.iter().copied())?;
        self.change(|tenant| {
            tenant.enabled_features = selection.enabled.iter().map(|slug| (*slug).to_owned()).collect();
        })
        .await
    }

    /// Ends the session, as the control plane does.
    pub async fn end(&self) -> Result<()> {
        self.change(|tenant| tenant.status = SessionStatus::Dropped.into())
            .await
    }

    async fn change(&self, change: impl FnOnce(&mut Tenant)) -> Result<()> {
        let hash: TokenHash = self.token.hash();
        self.host.fake.change(hash, change);
        // What an invalidation does when it arrives; the stream's own way is tested with the directory.
        self.host.server.directory.forget(hash).await;
        Ok(())
    }
}

/// Waits until something holds that no request announces, a few seconds at most.
pub async fn eventually<F>(what: &str, mut holds: F)
where
    F: AsyncFnMut() -> bool,
{
    for _ in 0..250 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within 5 s");
}
