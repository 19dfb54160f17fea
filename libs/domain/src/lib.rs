//! The words of the domain as validated types: sessions, tokens, schema and role names, time. No I/O.

mod clock;
mod currency;
mod name;
mod session;
mod token;

pub use clock::{Clock, ManualClock, SystemClock};
pub use currency::{Currency, NotACurrency};
pub use name::{NotAName, RoleName, SchemaName};
pub use session::{SessionId, SessionStatus};
pub use token::{NotAToken, SessionToken, TokenHash};
