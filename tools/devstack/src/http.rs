//! A small HTTP client for loopback: whole bodies, no TLS.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client with connections that are used again.
#[derive(Debug, Clone)]
pub struct Client {
    pooled: Pooled<HttpConnector, Full<Bytes>>,
    limit: Duration,
}

impl Client {
    /// A client whose answers take `limit` at most.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            pooled: Pooled::builder(TokioExecutor::new()).build_http(),
            limit,
        }
    }

    /// Sends a request and reads the whole answer, whatever its status is.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer> {
        let what = format!("{} {}", request.method(), request.uri());
        let exchange = async {
            let answer = self.pooled.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        let answer = tokio::time::timeout(self.limit, exchange).await;
        answer
            .with_context(|| format!("{what}: no answer in {:?}", self.limit))?
            .with_context(|| format!("{what} failed"))
    }

    /// Gets a page.
    ///
    /// # Errors
    /// As for [`Client::send`].
    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(Request::get(url).body(Bytes::new())?).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As for [`Client::send`].
    pub async fn post(&self, url: &str, body: &Value) -> Result<Answer> {
        let request = Request::post(url).header("content-type", "application/json");
        self.send(request.body(body.to_string().into())?).await
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
