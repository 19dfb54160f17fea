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
/// The deepest JSON.
const DEPTH: usize = 16;

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
        if is_empty {
            return Ok(Map::new());
        }
        self.check_type("application/json")?;
        let bytes = self.bytes()?;
        let bad = |message: String| Fault::new(codes::BAD_REQUEST, message);
        if depth(bytes) > DEPTH {
            return Err(bad(format!("The JSON is nested deeper than {DEPTH} levels.")));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(bad("The body must be a JSON object.".into())),
            Err(error) => Err(bad(format!(
                "The body is no valid JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))),
        }
    }
}

/// How deep JSON is nested, without reading it.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
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
    fn only_json_objects_of_bounded_depth_pass() {
        assert!(json("application/json; charset=utf-8", r#"{"a":1}"#).is_ok());
        assert_eq!(json("application/json", "").map(|object| object.len()), Ok(0));
        assert_eq!(json("text/plain", "{}"), Err("UNSUPPORTED_MEDIA_TYPE"));
        for wrong in [
            "[]",
            "1",
            "{",
            "{\"a\":}",
            "null",
            r#"{"a":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"#,
        ] {
            assert_eq!(json("application/json", wrong), Err("BAD_REQUEST"), "{wrong}");
        }
    }

    #[test]
    fn braces_in_texts_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[{{\"[["}"#), 1);
    }
}
