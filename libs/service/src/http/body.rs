//! Bodies, read whole within bounds before anything else is held for a request.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use fault::{Fault, codes};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

/// How much more than its limit is read of a body before the answer: most clients write the whole body before they look
/// at the answer, and lose it when the connection is closed on them.
const DRAINED: usize = 16 * 1024 * 1024;
/// How deep JSON may be nested.
const DEPTH: usize = 16;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It has, or says that it has, more than this many bytes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// It did not arrive whole, or not in time.
    #[error("not arrived whole")]
    Broken,
}

/// A body of at most `limit` bytes. One that says that it is far larger, or asks before it is sent, is not waited for.
///
/// # Errors
/// When it is larger, or does not arrive within 15 s.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Trouble> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let asks_first = headers.contains_key(header::EXPECT);
    if length.is_some_and(|length| length > limit && (asks_first || length > limit.saturating_add(DRAINED))) {
        return Err(Trouble::TooLarge(limit));
    }
    tokio::time::timeout(PATIENCE, collect(body, limit))
        .await
        .unwrap_or(Err(Trouble::Broken))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Trouble> {
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Trouble::Broken)?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= limit {
            kept.extend_from_slice(&data);
        } else if length > limit.saturating_add(DRAINED) {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if length > limit {
        Err(Trouble::TooLarge(limit))
    } else {
        Ok(kept.into())
    }
}

/// The JSON object that a body holds; no body counts as `{}`.
///
/// # Errors
/// 400 `BAD_REQUEST` when it is no JSON, no object, or nested too deep.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
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

    #[test]
    fn only_json_objects_of_bounded_depth_pass() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(object(b"").map(|object| object.len()).ok(), Some(0));
        for right in [r#"{"a":1}"#, &nested(DEPTH - 1)] {
            assert!(object(right.as_bytes()).is_ok(), "{right}");
        }
        for wrong in ["[]", "1", "{", "{\"a\":}", "null", &nested(DEPTH)] {
            let fault = object(wrong.as_bytes()).expect_err(wrong);
            assert_eq!(fault.code(), codes::BAD_REQUEST, "{wrong}");
        }
    }

    #[test]
    fn braces_in_texts_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[{{\"[["}"#), 1);
    }
}
