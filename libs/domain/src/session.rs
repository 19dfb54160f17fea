//! A session's identity and the states it passes through.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

/// A session's id: UUIDv7, not secret, safe in logs; it names the session's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new id that sorts by `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Self(Uuid::new_v7(Timestamp::from_unix(
            NoContext,
            seconds,
            now.timestamp_subsec_nanos(),
        )))
    }

    /// The id as a UUID, for the database.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for SessionId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SessionStatus {
    /// Accepted, nothing prepared yet.
    Pending,
    /// The provisioner is at work.
    Provisioning,
    /// The application can be used.
    Ready,
    /// It could not be prepared, or its schema is gone.
    Failed,
    /// Over: the schema's name is gone.
    Dropped,
}

impl SessionStatus {
    /// All states, in the order of life.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Provisioning,
        Self::Ready,
        Self::Failed,
        Self::Dropped,
    ];

    /// The word for it in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Provisioning => "PROVISIONING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
            Self::Dropped => "DROPPED",
        }
    }

    /// Whether the contract allows the step from here to `next` (control-plane.md sections 2 and 5).
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending | Self::Failed, Self::Dropped)
                | (Self::Pending, Self::Provisioning)
                | (Self::Ready, Self::Failed | Self::Dropped)
                | (Self::Provisioning, Self::Ready | Self::Failed | Self::Dropped)
        )
    }

    /// Whether the session counts against the limits on live sessions.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Provisioning | Self::Ready)
    }
}

impl FromStr for SessionStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownStatus)
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of PENDING, PROVISIONING, READY, FAILED, DROPPED")]
pub struct UnknownStatus;

#[cfg(test)]
mod tests {
    use super::*;
    use SessionStatus::{Dropped, Failed, Pending, Provisioning, Ready};

    #[test]
    fn exactly_the_contracts_transitions_are_legal() {
        let legal = [
            (Pending, Provisioning),
            (Provisioning, Ready),
            (Ready, Dropped),
            // Its schema is gone (section 5).
            (Ready, Failed),
            (Provisioning, Failed),
            (Failed, Dropped),
            (Pending, Dropped),
            (Provisioning, Dropped),
        ];
        for from in SessionStatus::ALL {
            for to in SessionStatus::ALL {
                assert_eq!(from.can_become(to), legal.contains(&(from, to)), "{from} to {to}");
            }
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made_at() {
        let early = SessionId::new(DateTime::UNIX_EPOCH);
        let late = SessionId::new(DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1));
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
        assert_eq!(early.to_string().parse(), Ok(early));
    }
}
