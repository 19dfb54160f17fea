//! The running API against the contract's files: what they say about routes, callers, fields, lists and rows is asked
//! of every resource and action of the modules that are registered. A module that comes is held to its file without a
//! line here, but for samples that cannot be derived ([`sample`]).
//!
//! Each test asks everything and tells all that is wrong at once, a line each.

mod bodies;
mod book;
mod callers;
mod coverage;
mod lists;
mod pages;
mod protocol;
mod report;
mod rows;
mod sample;
mod values;
mod writes;
