//! The product from outside, all processes running.

mod away;
mod bad_input;
mod expiry;
mod faults;
mod fuzz;
mod hang_up;
mod operations;
mod previewctl;
mod replicas;
mod restart;
mod story;
mod studio;
mod tokens;
mod up;
mod world;
