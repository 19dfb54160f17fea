//! The core application: on in every session.

pub mod notifications;

use crate::http::Routes;

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("core", "/api/v1")
}
