//! What several tests need: visitors' steps, and a proxy that cuts connections.

pub mod proxy;
mod shopper;

pub use shopper::{FEATURES, Shopper, address, eventually};
