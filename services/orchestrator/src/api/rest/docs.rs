//! `/api/preview/openapi.json` and the page that shows it, without anything from elsewhere.

use axum::{
    http::{HeaderName, header},
    response::{Html, IntoResponse},
};

/// The document.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The page may run its own script and load the document, nothing else.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'",
);

/// GET `/openapi.json`.
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// GET `/docs`.
pub async fn page() -> impl IntoResponse {
    ([POLICY], Html(include_str!("docs.html")))
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
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(OPENAPI).expect("valid JSON");
        let references = OPENAPI.split("\"$ref\": \"#").skip(1);
        for reference in references.map(|rest| rest.split('"').next().unwrap_or_default()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
