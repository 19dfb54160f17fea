//! `/api/v1/openapi.json`: everything that is served, or what the session that the request names has of it.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use modules::Gate;

use super::{App, Route, session::Admitted};
use crate::openapi;

/// The document of some routes.
#[must_use]
pub fn describe<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Bytes {
    openapi::document(routes).to_string().into()
}

/// GET `/openapi.json`.
pub async fn document(State(app): State<Arc<App>>, admitted: Option<Extension<Admitted>>) -> Response {
    service::http::name("http.core.openapi.show");
    let document = admitted.map_or_else(
        || app.openapi.clone(),
        |Extension(Admitted { tenant, .. })| {
            let is_open = |route: &&Route| matches!(app.gates.judge(&route.path, &tenant.enabled), Gate::Open(_));
            describe(app.routes.iter().filter(is_open))
        },
    );
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([json], document).into_response()
}
