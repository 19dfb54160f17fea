//! Instants, sizes and states in words.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::Clock;
use proto::v1::{HappeningKind, SessionStatus, SlotState};

/// An instant and how far it is away.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Reads an instant of an answer.
pub fn instant(at: Option<impl std::borrow::Borrow<proto::Timestamp>>) -> Option<Instant> {
    let at = proto::instant(at?.borrow())?;
    let now = Clock::system().now();
    Some(Instant { at, now })
}

impl Instant {
    /// For people, to the second.
    pub fn absolute(self) -> String {
        self.at.format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// For scripts.
    pub fn rfc3339(self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// How long ago, or how soon.
    pub fn relative(self) -> String {
        if self.at > self.now {
            format!("in {}", span(self.at - self.now))
        } else {
            format!("{} ago", span(self.now - self.at))
        }
    }

    /// Both.
    pub fn both(self) -> String {
        format!("{} UTC ({})", self.absolute(), self.relative())
    }
}

/// The two largest units.
fn span(time: TimeDelta) -> String {
    let (days, hours, minutes) = (time.num_days(), time.num_hours() % 24, time.num_minutes() % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", time.num_seconds()),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// A size in megabytes, with tenths.
pub fn bytes(bytes: Option<i64>) -> String {
    bytes.map_or_else(
        || "-".to_owned(),
        |bytes| format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    )
}

/// A session's status with its colour.
pub fn status(status: SessionStatus) -> (&'static str, Option<&'static str>) {
    match status {
        SessionStatus::Unspecified => ("-", None),
        SessionStatus::Pending => ("PENDING", Some("33")),
        SessionStatus::Provisioning => ("PROVISIONING", Some("33")),
        SessionStatus::Ready => ("READY", Some("32")),
        SessionStatus::Failed => ("FAILED", Some("31")),
        SessionStatus::Dropped => ("DROPPED", Some("2")),
    }
}

/// A slot's state with its colour.
pub fn slot_state(state: SlotState) -> (&'static str, Option<&'static str>) {
    match state {
        SlotState::Unspecified => ("-", None),
        SlotState::Empty => ("EMPTY", Some("2")),
        SlotState::Preparing => ("PREPARING", Some("33")),
        SlotState::Ready => ("READY", Some("32")),
        SlotState::Claimed => ("CLAIMED", None),
        SlotState::Gone => ("GONE", Some("33")),
    }
}

/// What happened.
pub fn kind(kind: HappeningKind) -> &'static str {
    match kind {
        HappeningKind::Unspecified => "-",
        HappeningKind::Transition => "TRANSITION",
        HappeningKind::Updated => "UPDATED",
        HappeningKind::Extended => "EXTENDED",
        HappeningKind::Restarting => "RESTARTING",
        HappeningKind::Restarted => "RESTARTED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        let now = DateTime::UNIX_EPOCH;
        let relative = |seconds| {
            let at = now + TimeDelta::seconds(seconds);
            Instant { at, now }.relative()
        };
        for (seconds, words) in [
            (0, "0s ago"),
            (-59, "59s ago"),
            (-60, "1m ago"),
            (-3_660, "1h01m ago"),
            (-90_000, "1d01h ago"),
            (14_399, "in 3h59m"),
        ] {
            assert_eq!(relative(seconds), words);
        }
    }

    #[test]
    fn sizes_are_megabytes_and_an_unknown_one_is_no_zero() {
        assert_eq!(bytes(Some(5_678_901)), "5.6 MB");
        assert_eq!(bytes(Some(0)), "0.0 MB");
        assert_eq!(bytes(None), "-");
    }
}
