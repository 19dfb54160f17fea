//! What tests stand on: a database of their own on a real PostgreSQL, a running stack on free
//! ports, and clients for both.

mod database;

pub use database::TestDatabase;
