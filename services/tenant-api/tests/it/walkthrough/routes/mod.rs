//! The guestbook.

pub mod entries;

use crate::{http::Routes, resource::routes as standard};

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("guestbook", "/api/v1/guestbook")
        .with("entries", standard::<entries::Entity>())
        .with("entries", entries::actions())
}
