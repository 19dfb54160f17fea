//! The page that shows the OpenAPI document beside it, without anything from elsewhere.

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse},
};

/// The page may run its own script and load the document, nothing else; no other page may hold it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// GET `docs`; it loads `openapi.json` from the same folder.
pub async fn page() -> impl IntoResponse {
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    ([policy], Html(include_str!("docs.html")))
}
