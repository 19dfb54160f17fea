//! The orchestrator against a real PostgreSQL and a provisioner that tests direct.

mod bad_input;
mod fake;
mod grpc;
mod harness;
mod limits;
mod living;
mod operators;
mod preparing;
mod reconciling;
mod rest;
