//! `/api/preview/catalog`: what a configurator draws.

use std::sync::LazyLock;

use axum::{http::HeaderMap, response::Response};
use modules::{Feature, MODULES, Module};
use serde_json::{Value, json};
use service::http::Cached;

/// Tiers that the configurator offers. A tier is shown and grants nothing, so a studio may send others.
const TIERS: [(&str, &str); 4] = [
    ("starter", "Starter"),
    ("basic", "Basic"),
    ("pro", "Pro"),
    ("enterprise", "Enterprise"),
];

/// The catalogue never changes while a process lives.
static CATALOG: LazyLock<Cached> =
    LazyLock::new(|| Cached::json(json!({ "success": true, "data": catalog() }).to_string()));

fn catalog() -> Value {
    let tiers: Vec<_> = TIERS
        .iter()
        .map(|(slug, title)| json!({ "slug": slug, "title": title }))
        .collect();
    // Features stand in their modules for a menu, and all together for a table.
    let modules: Vec<_> = MODULES.iter().map(|module| describe(module)).collect();
    let features: Vec<_> = modules
        .iter()
        .filter_map(|module| module["features"].as_array())
        .flatten()
        .collect();
    json!({ "modules": modules, "features": features, "tiers": tiers })
}

fn describe(module: &Module) -> Value {
    let feature = |feature: &Feature| {
        json!({
            "slug": feature.slug,
            "title": feature.title,
            "module": module.id,
            "routes": feature.prefixes,
            "dependsOn": feature.requires,
            "always": feature.always,
        })
    };
    let features: Vec<_> = module.features.iter().map(feature).collect();
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
    CATALOG.answer(&headers)
}
