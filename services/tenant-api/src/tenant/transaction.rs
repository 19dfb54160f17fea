//! The transaction of a request: pinned to one session's schema and role, begun by its first statement.
//!
//! One message opens it: begin, role, search_path. The database then refuses every other session's rows, whatever the
//! statement says. It ends with [`Tx::commit`]; dropped before that (an error, a panic, a client that hung up) it rolls
//! back, and its connection is lent again only after PostgreSQL has confirmed that.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::RoleName;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sqlx::{self, AssertSqlSafe, Executor, Postgres},
};
use sea_query_sqlx::SqlxValues;
use service::lifecycle::Lifecycle;
use tokio::sync::{Mutex, MutexGuard};
use tracing::{Instrument, Span, info_span};

use super::{
    Tenant, canary,
    pool::{Lent, TenantPool},
};

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// PostgreSQL refuses writes.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// How long PostgreSQL may take to confirm a rollback before the connection is given up.
const ROLLBACK: Duration = Duration::from_secs(10);
/// Dead connections that a request may meet, after a restart of PostgreSQL, before it gives up.
const DEAD: usize = 32;

/// A transaction over one session's rows.
#[derive(Debug)]
pub struct Tx {
    state: Mutex<State>,
    statements: AtomicU32,
}

#[derive(Debug)]
struct State {
    pool: TenantPool,
    lifecycle: Lifecycle,
    role: RoleName,
    variant: String,
    prologue: Arc<str>,
    connection: Option<Lent>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No statement yet.
    Waiting,
    /// BEGIN is on its way, or came back with an error.
    Opening,
    /// In the transaction.
    Open,
    /// A statement failed; PostgreSQL refuses all others until the rollback.
    Failed,
    /// Committed or rolled back.
    Closed,
}

impl Tx {
    /// A transaction that begins with its first statement. `timeout` bounds each statement.
    #[must_use]
    pub fn new(pool: TenantPool, lifecycle: Lifecycle, tenant: &Tenant, access: Access, timeout: Duration) -> Self {
        let mut prologue = String::with_capacity(192);
        prologue.push_str(match access {
            Access::ReadOnly => "BEGIN READ ONLY",
            Access::ReadWrite => "BEGIN",
        });
        let (role, schema) = (tenant.role.quoted(), tenant.schema.quoted());
        // Writing to a String cannot fail.
        let _ = write!(
            prologue,
            ";SET LOCAL ROLE {role};SET LOCAL search_path TO {schema};SET LOCAL statement_timeout TO {}",
            timeout.as_millis()
        );
        let state = State {
            variant: format!("/*{}*/", pool.variant(tenant.role.number())),
            role: tenant.role.clone(),
            pool,
            lifecycle,
            prologue: prologue.into(),
            connection: None,
            phase: Phase::Waiting,
        };
        Self {
            state: Mutex::new(state),
            statements: AtomicU32::new(0),
        }
    }

    /// Statements sent so far, BEGIN and COMMIT left out.
    #[must_use]
    pub fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Commits what was done; nothing to do when no statement was sent.
    ///
    /// # Errors
    /// When a statement failed before (nothing is stored then, although PostgreSQL would answer COMMIT without an
    /// error), or when PostgreSQL refuses.
    pub async fn commit(&self) -> Result<(), DbErr> {
        let mut state = self.state.lock().await;
        match state.phase {
            Phase::Waiting => {
                state.phase = Phase::Closed;
                Ok(())
            }
            Phase::Open => {
                let Some(connection) = state.connection.as_mut() else {
                    return Err(over());
                };
                let result = connection
                    .execute("COMMIT")
                    .instrument(info_span!("db.commit", otel.kind = "client"))
                    .await
                    .map_err(failure);
                if result.is_ok() {
                    state.phase = Phase::Closed;
                    state.connection = None;
                }
                result.map(drop)
            }
            Phase::Opening | Phase::Failed | Phase::Closed => Err(over()),
        }
    }

    /// Gives the connection back while work goes on that needs none (a slow hash), then begins anew with the next
    /// statement. What was read before may have changed.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn pause(&self) -> Result<(), DbErr> {
        self.commit().await?;
        self.state.lock().await.phase = Phase::Waiting;
        Ok(())
    }

    async fn open(&self) -> Result<MutexGuard<'_, State>, DbErr> {
        let mut state = self.state.lock().await;
        if state.phase == Phase::Waiting {
            state
                .begin()
                .instrument(info_span!("db.begin", otel.kind = "client"))
                .await?;
            if state.pool.canary().is_due() {
                state.compare_identity().await?;
            }
        }
        if state.phase != Phase::Open {
            return Err(over());
        }
        self.statements.fetch_add(1, Ordering::Relaxed);
        state.pool.count();
        Ok(state)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let statements = self.statements();
        self.state.get_mut().pool.record(statements);
    }
}

impl State {
    async fn begin(&mut self) -> Result<(), DbErr> {
        let mut last = None;
        for _ in 0..DEAD {
            let connection = self.pool.acquire(self.role.number()).await.map_err(failure)?;
            // From here on a drop sends ROLLBACK, also when this future is cancelled while BEGIN is in flight.
            self.phase = Phase::Opening;
            let connection = self.connection.insert(connection);
            match sqlx::raw_sql(AssertSqlSafe(self.prologue.to_string()))
                .execute(&mut **connection)
                .await
            {
                Ok(_) => {
                    self.phase = Phase::Open;
                    return Ok(());
                }
                // A connection that died with PostgreSQL's restart says nothing about the next one.
                Err(error) if is_dead(&error) => {
                    if let Some(mut connection) = self.connection.take() {
                        connection.close_on_drop();
                    }
                    last = Some(error);
                }
                Err(error) => return Err(failure(error)),
            }
        }
        Err(last.map_or_else(over, failure))
    }

    /// Asks the slot whose it is. A connection that reads another's is not used again.
    async fn compare_identity(&mut self) -> Result<(), DbErr> {
        let (span, question) = self.query(Statement::from_string(DbBackend::Postgres, canary::QUESTION));
        let result = question.fetch_one(&mut **self.connection()?).instrument(span).await;
        let row = QueryResult::from(self.settle(result)?);
        let (slot, user): (String, String) = (row.try_get_by(0)?, row.try_get_by(1)?);
        let checked = self.pool.canary().check(&self.role, &slot, &user);
        if let Err(error) = &checked {
            tracing::error!(error = %fault::chain(error), "a session's transaction is not its own");
            self.phase = Phase::Failed;
            if let Some(mut connection) = self.connection.take() {
                connection.close_on_drop();
            }
        }
        checked
    }

    /// The statement in the variant that is the slot's.
    fn query(&self, statement: Statement) -> (Span, sqlx::query::Query<'static, Postgres, SqlxValues>) {
        let span = span(&statement.sql);
        let values = statement.values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
        let sql = statement.sql + &self.variant;
        (span, sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values)))
    }

    fn connection(&mut self) -> Result<&mut Lent, DbErr> {
        self.connection.as_mut().ok_or_else(over)
    }

    /// Remembers that a statement failed.
    fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        result.map_err(|error| {
            self.phase = Phase::Failed;
            failure(error)
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        self.lifecycle.spawn(async move {
            let rollback = tokio::time::timeout(ROLLBACK, connection.execute("ROLLBACK")).await;
            if !matches!(rollback, Ok(Ok(_))) {
                connection.close_on_drop();
            }
        });
    }
}

/// The span of a statement. It tells the kind only: texts may hold what a visitor wrote.
fn span(sql: &str) -> Span {
    let operation = sql.split_ascii_whitespace().next().unwrap_or_default();
    info_span!("db.statement", otel.kind = "client", db.operation.name = operation)
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut state = self.open().await?;
        let (span, query) = state.query(statement);
        let result = query.execute(&mut **state.connection()?).instrument(span).await;
        state.settle(result).map(Into::into)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut state = self.open().await?;
        let result = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut **state.connection()?)
            .instrument(span(sql))
            .await;
        state.settle(result).map(Into::into)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut state = self.open().await?;
        let (span, query) = state.query(statement);
        let result = query.fetch_optional(&mut **state.connection()?).instrument(span).await;
        state.settle(result).map(|row| row.map(Into::into))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut state = self.open().await?;
        let (span, query) = state.query(statement);
        let result = query.fetch_all(&mut **state.connection()?).instrument(span).await;
        state
            .settle(result)
            .map(|rows| rows.into_iter().map(Into::into).collect())
    }
}

fn failure(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

fn over() -> DbErr {
    DbErr::Custom("the transaction is over: a statement failed, or it was committed".into())
}

/// Whether the connection itself is gone: closed by PostgreSQL's stop (class 57P) or broken.
fn is_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}
