//! The product from outside, all processes running.

mod bad_input;
mod faults;
mod hang_up;
mod operations;
mod previewctl;
mod restart;
mod story;
mod studio;
mod tokens;
