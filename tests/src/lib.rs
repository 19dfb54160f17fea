//! What visitors do, as steps that several tests take.

mod shopper;

pub use shopper::{FEATURES, Shopper, address, eventually};
