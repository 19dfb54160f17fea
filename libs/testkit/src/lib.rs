//! What tests stand on: a database of their own on a real PostgreSQL, a running stack on free
//! ports, and clients for both.

mod api;
mod authority;
pub mod contract;
mod database;
mod stack;

pub use api::{Api, Pagination, Reply};
pub use authority::{Authority, Signed};
pub use database::TestDatabase;
pub use devstack::process::Signal;
pub use devstack::stack::Service;
pub use stack::{Stack, StackBuilder};
