//! The modules against the contract in `docs/contract` and a real PostgreSQL.

mod catalogue;
mod claims;
mod seeds;
mod seeds_later;
mod slot;
mod tables;

use testkit::contract::Contract;

/// The contract of every module, in the order of our list.
fn contracts() -> anyhow::Result<Vec<Contract>> {
    modules::MODULES
        .iter()
        .map(|module| Contract::read(module.id))
        .collect()
}
