//! Bodies, read whole within bounds before anything else is held for a request.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;

/// How much more than its limit is read of a body before the answer: most clients write the whole body before they look
/// at the answer, and lose it when the connection is closed on them.
const DRAINED: usize = 16 * 1024 * 1024;
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
