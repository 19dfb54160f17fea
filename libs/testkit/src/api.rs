//! A client of the two HTTP interfaces, which holds every answer against the envelope.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use devstack::http::{Answer, Client};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::{Map, Value};

/// Looks at every answer: method, path and the answer.
pub type Watch = Arc<dyn Fn(&Method, &str, &Answer) + Send + Sync>;

/// Sends requests to one base address, with the same headers each time.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    headers: HeaderMap,
    watch: Option<Watch>,
}

impl Api {
    /// For the address `base`, without a session.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let client = Client::new(Duration::from_secs(30));
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            headers: HeaderMap::new(),
            watch: None,
        }
    }

    /// The same, with somebody who looks at every answer.
    #[must_use]
    pub fn watched(&self, watch: Watch) -> Self {
        Self {
            watch: Some(watch),
            ..self.clone()
        }
    }

    /// The same with one more header; an earlier value is replaced.
    ///
    /// # Panics
    /// When the value cannot stand in a header.
    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        let value = HeaderValue::from_str(value).expect("a value that can stand in a header");
        other.headers.insert(HeaderName::from_static(name), value);
        other
    }

    /// The same for a preview session.
    #[must_use]
    pub fn session(&self, token: &str) -> Self {
        self.with("x-preview-session", token)
    }

    /// The same for somebody who is signed in.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The base address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Gets a path.
    ///
    /// # Errors
    /// When there is no answer; every answer is fine here.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, None).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Patches with JSON.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Puts JSON.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Deletes a path.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a body as it is.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn raw(&self, method: Method, path: &str, content_type: &str, body: impl Into<Bytes>) -> Result<Reply> {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base).parse()?;
        request.headers_mut().extend(self.headers.clone());
        if !content_type.is_empty() {
            request.headers_mut().insert("content-type", content_type.parse()?);
        }
        let method = request.method().clone();
        let answer = self.client.send(request).await?;
        if let Some(watch) = &self.watch {
            watch(&method, path, &answer);
        }
        let what = format!("{method} {path}");
        Ok(Reply { what, answer })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        match body {
            Some(body) => self.raw(method, path, "application/json", body.to_string()).await,
            None => self.raw(method, path, "", "").await,
        }
    }
}

/// An answer and what it was asked.
#[derive(Debug, Clone)]
pub struct Reply {
    what: String,
    /// The answer as it came.
    pub answer: Answer,
}

impl Reply {
    /// Its status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status
    }

    /// A header, empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The `data` of a success with that status.
    ///
    /// # Panics
    /// When the answer is anything else, or not in the envelope.
    #[track_caller]
    pub fn data(&self, status: u16) -> Value {
        let body = self.envelope(status);
        assert_eq!(body.get("success"), Some(&Value::Bool(true)), "{self}");
        assert!(
            body.keys()
                .all(|key| matches!(key.as_str(), "success" | "data" | "pagination")),
            "{self}"
        );
        body.get("data").unwrap_or_else(|| panic!("no data: {self}")).clone()
    }

    /// The `data` and the `pagination` of a list.
    ///
    /// # Panics
    /// When the answer is no list.
    #[must_use]
    #[track_caller]
    pub fn list(&self) -> (Vec<Value>, Pagination) {
        let data = self.data(200);
        let rows = data.as_array().unwrap_or_else(|| panic!("not a list: {self}")).clone();
        let pagination = &self.answer.json()["pagination"];
        let number = |name: &str| {
            pagination[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no pagination.{name}: {self}"))
        };
        let pagination = Pagination {
            page: number("page"),
            limit: number("limit"),
            total: number("total"),
            total_pages: number("totalPages"),
        };
        (rows, pagination)
    }

    /// The `error` of a failure with that status and code.
    ///
    /// # Panics
    /// When the answer is anything else, not in the envelope, or tells of the server's inside.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> Value {
        let body = self.envelope(status);
        assert_eq!(body.get("success"), Some(&Value::Bool(false)), "{self}");
        let error = body.get("error").unwrap_or_else(|| panic!("no error: {self}"));
        assert_eq!(error["code"], code, "{self}");
        assert!(
            error["message"].as_str().is_some_and(|message| !message.is_empty()),
            "no message: {self}"
        );
        let text = self.answer.text().to_lowercase();
        for inside in [
            "preview_0",
            "slot_0",
            "select ",
            "sqlstate",
            "panicked",
            "stack backtrace",
            "relation \\\"",
        ] {
            assert!(!text.contains(inside), "tells of {inside:?}: {self}");
        }
        if matches!(status, 429 | 503) {
            let wait = self.header("retry-after");
            assert!(wait.parse::<u64>().is_ok(), "no Retry-After in seconds: {self}");
        }
        error.clone()
    }

    /// The fields that a 422 names, sorted.
    ///
    /// # Panics
    /// When the answer is no 422 with details.
    #[must_use]
    #[track_caller]
    pub fn invalid_fields(&self) -> Vec<String> {
        let error = self.error(422, "VALIDATION_ERROR");
        let details = error["details"]
            .as_array()
            .unwrap_or_else(|| panic!("no details: {self}"));
        let field = |detail: &Value| {
            detail["field"]
                .as_str()
                .unwrap_or_else(|| panic!("no field: {self}"))
                .to_owned()
        };
        let mut fields: Vec<_> = details.iter().map(field).collect();
        fields.sort();
        fields
    }

    #[track_caller]
    fn envelope(&self, status: u16) -> Map<String, Value> {
        assert_eq!(self.status().as_u16(), status, "{self}");
        assert!(!self.header("x-request-id").is_empty(), "no X-Request-Id: {self}");
        match self.answer.json() {
            Value::Object(body) => body,
            _ => panic!("not a JSON object: {self}"),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} answered {} {}", self.what, self.status(), self.answer.text())
    }
}

/// Which part of a list an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pagination {
    /// From 1.
    pub page: u64,
    /// Rows a page.
    pub limit: u64,
    /// Rows in all.
    pub total: u64,
    /// Pages in all.
    pub total_pages: u64,
}
