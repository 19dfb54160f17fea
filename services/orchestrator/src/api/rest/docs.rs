//! `/api/preview/openapi.json`: the gateway, described by hand and held against its routes by tests.

use std::sync::LazyLock;

use axum::{http::HeaderMap, response::Response};
use service::http::Cached;

/// The document.
pub const OPENAPI: &str = include_str!("openapi.json");

static CACHED: LazyLock<Cached> = LazyLock::new(|| Cached::json(OPENAPI.to_owned()));

/// GET `/openapi.json`.
pub async fn document(headers: HeaderMap) -> Response {
    CACHED.answer(&headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest::ROUTES;
    use serde_json::Value;

    #[test]
    fn the_document_describes_exactly_the_routes() {
        let document: Value = serde_json::from_str(OPENAPI).expect("valid JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut described: Vec<_> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods");
                methods
                    .keys()
                    .map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let mut routes: Vec<_> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes);
    }

    #[test]
    fn its_version_is_that_of_the_package() {
        let document: Value = serde_json::from_str(OPENAPI).expect("valid JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(OPENAPI).expect("valid JSON");
        let references = OPENAPI.split("\"$ref\": \"#").skip(1);
        for reference in references.map(|rest| rest.split('"').next().unwrap_or_default()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
