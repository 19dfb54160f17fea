//! The routes of all modules. A module is one folder and one line here.

pub mod core;
pub mod ecommerce;

use crate::http::Route;

/// Every route of the application.
#[must_use]
pub fn routes() -> Vec<Route> {
    [core::routes(), ecommerce::routes()]
        .into_iter()
        .flat_map(crate::http::Routes::into_vec)
        .collect()
}
