//! Who is calling: passwords, access tokens, refresh tokens (contract README section 8).

pub mod caller;
pub mod cookies;
mod hs256;
pub mod opaque;
pub mod password;
pub mod roles;
mod tokens;

pub use caller::{Caller, Role};
pub use tokens::{Claims, Tokens};
