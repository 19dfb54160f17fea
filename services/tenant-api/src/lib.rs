//! The data plane: serves the application of each session over its own schema.

pub mod audit;
pub mod auth;
pub mod closing;
pub mod config;
pub mod dashboard;
pub mod http;
pub mod internal;
pub mod ledger;
pub mod modules;
pub mod openapi;
pub mod resource;
pub mod sandbox;
pub mod search;
pub mod server;
pub mod settings;
pub mod tenant;
