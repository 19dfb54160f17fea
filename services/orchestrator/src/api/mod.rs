//! The two doors: REST for browsers, gRPC for backends. They read, call and show; what happens is decided in
//! [`crate::session`].

pub mod grpc;
pub mod rest;
