//! The pieces that run Live Preview on one machine: a private PostgreSQL, the services as
//! separate processes, and the care that nothing outlives whoever started it.
//!
//! The `devstack` command is one user of it, the test kit is the other.

pub mod checkout;
pub mod environment;
pub mod http;
pub mod port;
pub mod postgres;
pub mod process;
pub mod secrets;
pub mod stack;
