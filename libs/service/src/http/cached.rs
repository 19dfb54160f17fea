//! JSON that does not change while a process lives.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// A JSON text and the tag that clients know it by.
#[derive(Clone, Debug)]
pub struct Cached {
    body: Bytes,
    etag: HeaderValue,
}

impl Cached {
    /// Keeps a text.
    #[must_use]
    pub fn json(text: String) -> Self {
        let hash = hex::encode(&Sha256::digest(text.as_bytes())[..16]);
        Self {
            body: Bytes::from(text),
            etag: HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// The text, or 304 for a client that has it.
    #[must_use]
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let tag = (header::ETAG, self.etag.clone());
        if self.is_known(asked) {
            return (StatusCode::NOT_MODIFIED, [cache, tag]).into_response();
        }
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([cache, tag, json], self.body.clone()).into_response()
    }

    fn is_known(&self, asked: &HeaderMap) -> bool {
        asked
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == "*" || known.as_bytes() == self.etag.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_text_is_told_so() {
        let cached = Cached::json("{}".to_owned());
        let first = cached.answer(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(
            cached
                .answer(&HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]))
                .status(),
            StatusCode::NOT_MODIFIED
        );
        let other = HeaderValue::from_static("\"other\"");
        assert_eq!(
            cached
                .answer(&HeaderMap::from_iter([(header::IF_NONE_MATCH, other)]))
                .status(),
            StatusCode::OK
        );
    }
}
