//! A request as handlers see it: who calls, for which session, with what, and the one transaction.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Extensions, HeaderMap, HeaderName};
use chrono::{DateTime, Utc};
use fault::{Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{App, Result, Route, body::Raw, query::Query};
use crate::{
    auth::Caller,
    closing::Closing,
    resource::value,
    tenant::{Tenant, transaction::Tx},
};

/// A request. Clones are the same request.
#[derive(Clone)]
pub struct Call(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub app: Arc<App>,
    pub tenant: Arc<Tenant>,
    pub route: Arc<Route>,
    pub tx: Tx,
    pub caller: Option<Caller>,
    pub path: Vec<String>,
    pub query: Query,
    pub headers: HeaderMap,
    pub raw: Arc<Raw>,
    pub body: Map<String, Value>,
    pub now: DateTime<Utc>,
    pub is_secure: bool,
    pub closing: Closing,
    pub memory: Mutex<Extensions>,
}

impl Call {
    /// What all requests share.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.0.app
    }

    /// The session.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// The transaction.
    #[must_use]
    pub fn tx(&self) -> &Tx {
        &self.0.tx
    }

    /// The rows of a statement in the transaction.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = sea_orm::Value> + Send,
    ) -> Result<Vec<QueryResult>> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        Ok(self.tx().query_all_raw(statement).await?)
    }

    /// The first row of a statement in the transaction, if there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn row(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = sea_orm::Value> + Send,
    ) -> Result<Option<QueryResult>> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        Ok(self.tx().query_one_raw(statement).await?)
    }

    /// Runs a statement in the transaction and tells how many rows it touched.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn run(&self, sql: &str, values: impl IntoIterator<Item = sea_orm::Value> + Send) -> Result<u64> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        Ok(self.tx().execute_raw(statement).await?.rows_affected())
    }

    /// The route that was called.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.0.route
    }

    /// The moment the request arrived.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.now
    }

    /// Whoever is signed in.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.0.caller.as_ref()
    }

    /// Whoever is signed in.
    ///
    /// # Errors
    /// 401 when nobody is.
    pub fn user(&self) -> Result<&Caller, Fault> {
        self.caller()
            .ok_or_else(|| Fault::new(codes::UNAUTHORIZED, "Sign in first."))
    }

    /// Whether the caller is STAFF or ADMIN.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.caller().is_some_and(Caller::is_staff)
    }

    /// Whether the caller is ADMIN.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.caller().is_some_and(Caller::is_admin)
    }

    /// A parameter of the path.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        let position = self
            .0
            .route
            .parameters()
            .iter()
            .position(|parameter| *parameter == name);
        position.and_then(|i| self.0.path.get(i)).map_or("", String::as_str)
    }

    /// An id in the path.
    ///
    /// # Errors
    /// 404 when it is malformed.
    pub fn id(&self, name: &str) -> Result<Uuid, Fault> {
        value::id(self.parameter(name)).ok_or_else(Fault::not_found)
    }

    /// The path that was called.
    #[must_use]
    pub fn address(&self) -> String {
        let mut address = self.0.route.path.clone();
        for (name, value) in self.0.route.parameters().iter().zip(&self.0.path) {
            address = address.replace(&format!("{{{name}}}"), value);
        }
        address
    }

    /// The parameters of the query.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.0.query
    }

    /// The query as a type, checked against the route's fields.
    ///
    /// # Errors
    /// 422 with all mistakes.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let checked = self.0.query.checked(self.0.route.query)?;
        serde_json::from_value(Value::Object(checked)).map_err(Fault::internal)
    }

    /// The body, checked: its fields in the form that is kept.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.0.body
    }

    /// The body as a type. Its fields were checked before; a mismatch is a fault of ours.
    ///
    /// # Errors
    /// 500 then.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_value(Value::Object(self.0.body.clone())).map_err(Fault::internal)
    }

    /// The body as it came: for files.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.0.raw
    }

    /// What will be written at the end of the request.
    #[must_use]
    pub fn closing(&self) -> &Closing {
        &self.0.closing
    }

    /// Keeps what the request has found out, by its type, for whoever asks for it again.
    pub(crate) fn remember<T: Clone + Send + Sync + 'static>(&self, found: T) {
        let mut memory = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert(found);
    }

    /// What was found out before.
    pub(crate) fn recall<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let memory = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get().cloned()
    }

    /// A header, when it is text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.0.headers.get(name)?.to_str().ok()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Whether the browser speaks HTTPS, by itself or through a proxy.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.is_secure
    }
}
