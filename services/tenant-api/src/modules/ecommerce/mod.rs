//! The online shop.

use crate::http::Routes;

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("ecommerce", "/api/v1/ecommerce")
}
