//! The tenant-api against a real PostgreSQL: its router on a real socket, the control plane played in process.

mod admin;
mod auth;
mod budget;
mod conformance;
mod content;
mod coupons;
mod declared;
mod directory;
mod harness;
mod isolation;
mod ledger;
mod limits;
mod openapi;
mod orders;
mod payments;
mod people;
mod sandbox;
mod search;
mod settings;
mod shop;
mod smoke;
mod transaction;
pub mod walkthrough;

// Where a module of the product finds them.
use modules::module;
use tenant_api::{http, resource};
