//! The environment of the command itself; the services read theirs through `service::config`.

use std::env;
use std::ffi::OsString;

/// A variable that is set and not empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    raw(name)
        .and_then(|value| value.into_string().ok())
        .filter(|value| !value.is_empty())
}

/// A variable that may hold paths.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a tool has no settings to tell together")]
pub fn raw(name: &str) -> Option<OsString> {
    env::var_os(name)
}
