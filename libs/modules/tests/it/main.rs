//! The modules against the contract in `docs/contract` and a real PostgreSQL.

mod catalogue;
mod claims;
mod contract;
mod seeds;
mod seeds_later;
mod slot;
mod tables;
