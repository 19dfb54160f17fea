//! The provisioner: keeps slots (schemas with all tables of all modules) ready, gives them to sessions, fills them
//! with demo data, and empties them for the next one. The only part of Live Preview that runs DDL.

pub mod api;
pub mod app;
pub mod command;
pub mod config;
pub mod database;
pub mod error;
pub mod install;
mod lock;
pub mod metrics;
pub mod migrate;
pub mod slot;
