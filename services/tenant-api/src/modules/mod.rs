//! What each module brings to the application. A module is one folder and one line here.

pub mod core;
pub mod ecommerce;

use crate::{
    http::{Route, Routes},
    ledger::seller::Seller,
};

/// What a module brings. Its features, tables and settings stand in `libs/modules` under the same id.
#[derive(Clone, Copy)]
pub struct Part {
    /// Its id.
    pub id: &'static str,
    /// Its routes.
    pub routes: fn() -> Routes,
    /// What it does when core pays, cancels or refunds its orders; `None`: it sells nothing.
    pub seller: Option<Seller>,
}

impl Part {
    const fn of(id: &'static str, routes: fn() -> Routes) -> Self {
        Self {
            id,
            routes,
            seller: None,
        }
    }
}

/// All modules, in the contract's order.
pub static PARTS: &[Part] = &[Part::of("core", core::routes), Part::of("ecommerce", ecommerce::routes)];

/// Every route of the application.
#[must_use]
pub fn routes() -> Vec<Route> {
    PARTS.iter().flat_map(|part| (part.routes)().into_vec()).collect()
}
