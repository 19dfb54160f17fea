//! The modules of the preview application, core included: features, navigation, settings, DDL and
//! demo data. Data and pure functions only; the planes bring the routes and the database.
//!
//! A module is one folder with `mod.rs`, `tables.sql` and `seed.sql`, and one line in [`MODULES`].

mod ddl;
mod gate;
pub mod module;
mod seed;
mod selection;
mod setting;

mod booking;
mod core;
mod ecommerce;
mod events;
mod helpdesk;
mod invoicing;
mod lms;
mod tasks;

pub use ddl::{fingerprint, identity_sql, is_journal, table_names, tables_sql};
pub use gate::{Gate, Gates, gate};
pub use module::{Feature, Module, Nav, NavItem};
pub use seed::{SEED_FUNCTIONS, seed_sql};
pub use selection::{BadSlug, Selection};
pub use setting::{Preset, Setting, SettingKind};

/// All modules, core first, then in the contract's order. Everything else is derived from this list.
pub static MODULES: &[&Module] = &[
    &core::MODULE,
    &ecommerce::MODULE,
    &lms::MODULE,
    &booking::MODULE,
    &helpdesk::MODULE,
    &invoicing::MODULE,
    &events::MODULE,
    &tasks::MODULE,
];

/// The module that every session has.
pub static CORE: &Module = &core::MODULE;

/// The module with this id, if there is one.
pub fn module(id: &str) -> Option<&'static Module> {
    MODULES.iter().copied().find(|module| module.id == id)
}

/// The features of all modules, in order.
pub fn features() -> impl Iterator<Item = &'static Feature> {
    MODULES.iter().flat_map(|module| module.features)
}

/// The feature with this slug, if there is one.
pub fn feature(slug: &str) -> Option<&'static Feature> {
    features().find(|feature| feature.slug == slug)
}
