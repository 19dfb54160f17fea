//! What each module brings to the application. A module is one folder and one line here.

pub mod core;
pub mod ecommerce;

use ::modules::{Gates, MODULES, Module};
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::{
    dashboard::Dashboard,
    http::{Call, Result, Route, Routes},
    ledger::seller::Seller,
    search::Searched,
};

/// What a module brings. Its features, tables and settings stand in `libs/modules` under the same id.
#[derive(Clone, Copy)]
pub struct Part {
    /// Its id.
    pub id: &'static str,
    /// Its routes.
    pub routes: fn() -> Routes,
    /// Its collections that can be searched, in the contract's order.
    pub search: &'static [Searched],
    /// Its block on the admin dashboard.
    pub dashboard: Option<Dashboard>,
    /// What it does when core pays, cancels or refunds its orders; `None`: it sells nothing.
    pub seller: Option<Seller>,
    /// What it does before a user is deleted; rows that refer to the user go or stay by the tables' rules.
    pub leaving: Option<Leaving>,
}

/// Before a user is deleted.
pub type Leaving = fn(Call, Uuid) -> BoxFuture<'static, Result<()>>;

impl Part {
    /// One that has routes only.
    #[must_use]
    pub const fn of(id: &'static str, routes: fn() -> Routes) -> Self {
        Self {
            id,
            routes,
            search: &[],
            dashboard: None,
            seller: None,
            leaving: None,
        }
    }
}

/// All modules, in the contract's order.
pub static PARTS: &[Part] = &[
    Part {
        search: core::SEARCH,
        dashboard: Some(core::admin::block),
        ..Part::of("core", core::routes)
    },
    Part {
        search: ecommerce::part::SEARCH,
        dashboard: Some(ecommerce::part::block),
        seller: Some(ecommerce::part::SELLER),
        leaving: Some(ecommerce::part::leaving),
        ..Part::of("ecommerce", ecommerce::routes)
    },
];

/// A role that a module gives to a user besides the role of the account.
#[derive(Clone, Copy, Debug)]
pub struct ModuleRole {
    /// `<module>.<role>`.
    pub name: &'static str,
    /// Whether it is held as such, or for some rows.
    pub scope: Scope,
    /// A query over the user `u` for the ids of the rows by which the role is held.
    pub held: &'static str,
}

impl ModuleRole {
    /// The module that gives it.
    #[must_use]
    pub fn module(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(module, _)| module)
    }
}

/// What a module's role is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It is held or not.
    Account,
    /// It is held for some rows.
    Row,
}

/// The roles of all modules, as an account shows them.
pub const ROLES: &[ModuleRole] = &[ModuleRole {
    name: "ecommerce.seller",
    scope: Scope::Row,
    held: "SELECT s.id FROM ecommerce_sellers s WHERE s.user_id = u.id AND s.status = 'approved'",
}];

/// Every route of the application.
#[must_use]
pub fn routes() -> Vec<Route> {
    Served::all().routes
}

/// What a process serves.
pub struct Served {
    /// The routes.
    pub routes: Vec<Route>,
    /// Which feature each of their paths belongs to.
    pub gates: Gates,
}

impl Served {
    /// All modules.
    #[must_use]
    pub fn all() -> Self {
        Self::of(MODULES.iter().copied(), PARTS)
    }

    /// These modules, and what they bring.
    pub fn of<'a>(
        modules: impl IntoIterator<Item = &'static Module>,
        parts: impl IntoIterator<Item = &'a Part>,
    ) -> Self {
        Self {
            routes: parts.into_iter().flat_map(|part| (part.routes)().into_vec()).collect(),
            gates: Gates::of(modules),
        }
    }
}
