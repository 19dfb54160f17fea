//! The gRPC interface: messages and services generated from `proto/`, and their conversions to domain types.

mod convert;

/// The generated package `livepreview.v1`. Its documentation is in the proto files.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated; documented in the proto files"
)]
pub mod v1 {
    tonic::include_proto!("livepreview.v1");
}

pub use convert::{instant, status_from, status_to, timestamp};
pub use prost_types::Timestamp;

/// All descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/livepreview.bin"));
