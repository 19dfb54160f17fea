//! Demo data: the scripts of the modules and the functions that they call.

use crate::Module;

/// Makes or replaces the functions that seeds call, `seed_id` and `seed_user`, in the schema
/// `provisioner`, which must exist. They read two settings that must stand in the transaction before
/// a seed runs: `livepreview.seed` (the session's id) and `livepreview.currency` (ISO 4217).
pub const SEED_FUNCTIONS: &str = include_str!("seed_functions.sql");

/// The demo data of the modules as one script for one message, to be run once in a session's
/// transaction under its `search_path`. Modules run in the given order; core comes first, in this
/// call or an earlier one.
pub fn seed_sql(modules: &[&Module]) -> String {
    modules.iter().map(|module| module.seed).collect::<Vec<_>>().join("\n")
}
