//! The interface to the orchestrator.

mod grpc;

pub use grpc::{Provisioner, serve};
