//! What every process of Live Preview does alike: read its configuration, tell what it does, say how it is, stop
//! in good order.

pub mod admin;
pub mod config;
pub mod grpc;
pub mod http;
pub mod lifecycle;
pub mod telemetry;
