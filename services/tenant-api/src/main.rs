//! Placeholder until the service is written.

fn main() {}
