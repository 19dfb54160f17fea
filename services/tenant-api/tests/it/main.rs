//! The tenant-api against a real PostgreSQL: its router on a real socket, the control plane played in process.

mod harness;
mod smoke;
