//! The data plane: serves the application of each session over its own schema.

pub mod config;
pub mod tenant;
