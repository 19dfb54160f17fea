//! `/api/v1/openapi.json`: everything that is served, or what the session that the request names has of it.

use std::sync::Arc;

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use modules::Gate;
use service::http::Cached;

use super::{App, Route, session::Admitted};
use crate::openapi;

/// The document of some routes.
#[must_use]
pub fn describe<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Cached {
    Cached::json(openapi::document(routes).to_string())
}

/// GET `/openapi.json`.
pub async fn document(
    State(app): State<Arc<App>>,
    admitted: Option<Extension<Admitted>>,
    headers: HeaderMap,
) -> Response {
    service::http::name("http.core.openapi.show");
    let Some(Extension(Admitted { tenant, .. })) = admitted else {
        return app.openapi.answer(&headers);
    };
    let is_open = |route: &&Route| matches!(app.gates.judge(&route.path, &tenant.enabled), Gate::Open(_));
    describe(app.routes.iter().filter(is_open)).answer(&headers)
}
