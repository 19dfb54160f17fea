//! The orchestrator: sessions from their creation to their end, and the directory that the data plane asks.
//!
//! `api` reads and shows, `session` decides, `session::store` holds all SQL, `provisioner` is the other side of the
//! wire, `app` wires everything in one place.

pub mod api;
pub mod app;
pub mod config;
pub mod database;
pub mod metrics;
pub mod network;
pub mod provisioner;
pub mod session;
