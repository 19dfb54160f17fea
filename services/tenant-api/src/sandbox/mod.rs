//! The sandbox: mail that goes nowhere, cards that charge nothing, files that vanish with the session.

pub mod address;
pub mod card;
pub mod filetype;
pub mod mail;
