//! Names of schemas and roles: the only way to one is a checked type, since they are spliced into SQL.

use std::fmt;

use crate::SessionId;

/// PostgreSQL cuts identifiers at this many bytes.
const LONGEST: usize = 63;

/// The text cannot name a schema or a role here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name: it must be 1 to 63 of the characters a-z, 0-9 and _")]
pub struct NotAName(String);

fn check(text: &str) -> Result<String, NotAName> {
    let fits = (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NotAName(text.to_owned()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// Takes a name that comes from our own records.
            ///
            /// # Errors
            /// When it has a character outside `[a-z0-9_]`, is empty or longer than 63 bytes.
            pub fn parse(text: &str) -> Result<Self, NotAName> {
                check(text).map(Self)
            }

            /// The bare name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name in double quotes, for SQL.
            #[must_use]
            pub fn quoted(&self) -> String {
                format!("\"{}\"", self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a PostgreSQL schema.
    SchemaName
}
name! {
    /// The name of a PostgreSQL role.
    RoleName
}

impl SchemaName {
    /// The schema of a session: `preview_` and its id without dashes. Unique for ever.
    #[must_use]
    pub fn of(session: SessionId) -> Self {
        Self(format!("preview_{}", session.uuid().simple()))
    }
}

impl RoleName {
    /// The number that it ends with: that of its slot. 0 without one.
    #[must_use]
    pub fn number(&self) -> usize {
        let digits = self.0.len() - self.0.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        self.0[self.0.len() - digits..].parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_schema_is_named_by_its_id() {
        let session = "01939c6e-8f3a-7cc1-a8f1-0a8a37a1f2b3".parse::<SessionId>();
        assert_eq!(
            session.map(|id| SchemaName::of(id).quoted()),
            Ok("\"preview_01939c6e8f3a7cc1a8f10a8a37a1f2b3\"".into())
        );
    }

    #[test]
    fn a_slots_role_ends_with_its_number() {
        for (name, number) in [("preview_slot_0042", 42), ("db2_slot_12345", 12345), ("other", 0)] {
            assert_eq!(RoleName::parse(name).map(|role| role.number()), Ok(number), "{name}");
        }
    }

    #[test]
    fn what_could_leave_its_quotes_is_refused() {
        for wrong in ["", "a\"b", "a;b", "A", "ä", "a b", &"x".repeat(64)] {
            assert!(SchemaName::parse(wrong).is_err(), "{wrong:?}");
            assert!(RoleName::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
