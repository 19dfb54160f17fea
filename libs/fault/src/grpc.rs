//! How faults look in gRPC: a canonical code with `google.rpc.ErrorInfo`, `RetryInfo` and `BadRequest`.

use std::{collections::HashMap, time::Duration};

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::Fault;

/// The domain of `ErrorInfo`.
const DOMAIN: &str = "livepreview";

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        fault.log();
        let inner = &fault.inner;
        let mut details = ErrorDetails::new();
        details.set_error_info(inner.code.name, DOMAIN, HashMap::new());
        if let Some(seconds) = inner.retry_after {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
        }
        for detail in &inner.details {
            details.add_bad_request_violation(&detail.field, &detail.message);
        }
        Self::with_error_details(inner.code.kind.grpc(), inner.message.as_ref(), details)
    }
}

impl Fault {
    /// The REST code that a status of ours carries, and the seconds to wait.
    #[must_use]
    pub fn reason(status: &Status) -> (Option<String>, Option<u64>) {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        let wait = details
            .retry_info()
            .and_then(|info| info.retry_delay)
            .map(|delay| delay.as_secs());
        (reason, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn reason_and_wait_travel_with_the_status() {
        let status = Status::from(Fault::new(codes::RATE_LIMITED, "too many").retry_after(9));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(Fault::reason(&status), (Some("RATE_LIMITED".into()), Some(9)));
    }
}
