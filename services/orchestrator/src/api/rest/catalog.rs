//! `/api/preview/catalog`: what a configurator draws.

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use modules::{MODULES, Module};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Tiers that the configurator offers. A tier is shown and grants nothing, so a studio may send others.
const TIERS: [(&str, &str); 4] = [
    ("starter", "Starter"),
    ("basic", "Basic"),
    ("pro", "Pro"),
    ("enterprise", "Enterprise"),
];

/// The catalogue never changes while a process lives.
static CATALOG: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let body = json!({ "success": true, "data": catalog() }).to_string();
    let hash = hex::encode(&Sha256::digest(body.as_bytes())[..16]);
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
    (Bytes::from(body), etag)
});

fn catalog() -> Value {
    let tiers: Vec<_> = TIERS
        .iter()
        .map(|(slug, title)| json!({ "slug": slug, "title": title }))
        .collect();
    let modules: Vec<_> = MODULES.iter().map(|module| describe(module)).collect();
    json!({ "modules": modules, "tiers": tiers })
}

fn describe(module: &Module) -> Value {
    let features: Vec<_> = module
        .features
        .iter()
        .map(|feature| {
            json!({
                "slug": feature.slug,
                "title": feature.title,
                "module": module.id,
                "routes": feature.prefixes,
                "dependsOn": feature.requires,
                "always": feature.always,
            })
        })
        .collect();
    json!({
        "slug": module.id,
        "title": module.title,
        "icon": module.nav.icon,
        "prefix": module.prefix,
        "features": features,
    })
}

/// GET `/catalog`, with an `ETag`.
pub async fn show(headers: HeaderMap) -> Response {
    let (body, etag) = &*CATALOG;
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let tag = (header::ETAG, etag.clone());
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == "*" || known.as_bytes() == etag.as_bytes());
    if is_known {
        return (StatusCode::NOT_MODIFIED, [cache, tag]).into_response();
    }
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([cache, tag, json], body.clone()).into_response()
}
