//! The core application: on in every session.

use crate::http::Routes;

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("core", "/api/v1")
}
