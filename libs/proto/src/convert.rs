//! Between wire types and domain types.

use chrono::{DateTime, Utc};
use domain::SessionStatus as Domain;
use prost_types::Timestamp;

use crate::v1::SessionStatus as Wire;

/// An instant for the wire.
#[must_use]
pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: at.timestamp(),
        nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0),
    }
}

/// An instant from the wire; `None` when it is outside what can be shown.
#[must_use]
pub fn instant(at: &Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)
}

/// A status for the wire.
#[must_use]
pub const fn status_to(status: Domain) -> Wire {
    match status {
        Domain::Pending => Wire::Pending,
        Domain::Provisioning => Wire::Provisioning,
        Domain::Ready => Wire::Ready,
        Domain::Failed => Wire::Failed,
        Domain::Dropped => Wire::Dropped,
    }
}

/// A status from the wire; `None` when it is unspecified.
#[must_use]
pub const fn status_from(status: Wire) -> Option<Domain> {
    match status {
        Wire::Unspecified => None,
        Wire::Pending => Some(Domain::Pending),
        Wire::Provisioning => Some(Domain::Provisioning),
        Wire::Ready => Some(Domain::Ready),
        Wire::Failed => Some(Domain::Failed),
        Wire::Dropped => Some(Domain::Dropped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_survives_the_wire() {
        for status in Domain::ALL {
            assert_eq!(status_from(status_to(status)), Some(status));
        }
        assert_eq!(status_from(Wire::Unspecified), None);
    }

    #[test]
    fn an_instant_survives_the_wire_to_the_nanosecond() {
        let at = DateTime::from_timestamp(1_700_000_000, 123_456_789);
        assert_eq!(at.and_then(|at| instant(&timestamp(at))), at);
        assert_eq!(
            instant(&Timestamp {
                seconds: i64::MAX,
                nanos: 0
            }),
            None
        );
    }
}
