//! Bodies: read whole and bounded before a connection to the database is taken, judged when their turn comes.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use fault::{Fault, codes};
use serde_json::{Map, Value};
use service::http::body::{self, Trouble};

/// The largest JSON body.
pub const JSON_LIMIT: usize = 256 * 1024;

/// A body as it came.
#[derive(Debug)]
pub struct Raw {
    bytes: Result<Bytes, Trouble>,
    content_type: Option<String>,
}

impl Raw {
    /// Reads a body of at most `limit` bytes. What is wrong with it is told by [`Self::json`] or [`Self::bytes`].
    pub async fn read(headers: &HeaderMap, raw: Body, limit: usize) -> Self {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let bytes = body::read(headers, raw, limit).await;
        Self { bytes, content_type }
    }

    /// The bytes.
    ///
    /// # Errors
    /// 413 or 400 when they did not arrive whole.
    pub fn bytes(&self) -> Result<&Bytes, Fault> {
        match &self.bytes {
            Ok(bytes) => Ok(bytes),
            Err(Trouble::TooLarge(limit)) => Err(Fault::new(
                codes::PAYLOAD_TOO_LARGE,
                format!("The body is larger than {limit} bytes."),
            )),
            Err(Trouble::Broken) => Err(Fault::new(codes::BAD_REQUEST, "The body did not arrive whole.")),
        }
    }

    /// The media type with its parameters.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Whether it came as this media type, parameters aside.
    ///
    /// # Errors
    /// 415 when not.
    pub fn check_type(&self, wanted: &str) -> Result<(), Fault> {
        let essence = self
            .content_type
            .as_deref()
            .map(|text| text.split(';').next().unwrap_or_default().trim());
        if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted)) {
            return Ok(());
        }
        let message = format!("The body must be sent as {wanted}.");
        Err(Fault::new(codes::UNSUPPORTED_MEDIA_TYPE, message))
    }

    /// The JSON object it holds; no body counts as `{}`.
    ///
    /// # Errors
    /// 415, 413 or 400.
    pub fn json(&self) -> Result<Map<String, Value>, Fault> {
        let is_empty = matches!(&self.bytes, Ok(bytes) if bytes.is_empty());
        if !is_empty {
            self.check_type("application/json")?;
        }
        body::object(self.bytes()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(content_type: &str, text: &'static str) -> Result<Map<String, Value>, &'static str> {
        Raw {
            bytes: Ok(Bytes::from_static(text.as_bytes())),
            content_type: Some(content_type.into()),
        }
        .json()
        .map_err(|fault| fault.code().name)
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        assert!(json("application/json; charset=utf-8", r#"{"a":1}"#).is_ok());
        assert_eq!(json("application/json", "").map(|object| object.len()), Ok(0));
        assert_eq!(json("text/plain", "{}"), Err("UNSUPPORTED_MEDIA_TYPE"));
        assert_eq!(json("application/json", "[]"), Err("BAD_REQUEST"));
    }
}
