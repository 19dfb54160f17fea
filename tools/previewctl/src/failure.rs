//! Why a command did not do it: one sentence, and an exit code that scripts can tell apart.

use std::{error::Error, fmt, io, process::ExitCode};

use fault::Fault;
use tonic::{Code, Status};

/// How tonic says that a deadline is over.
const EXPIRED: &str = "Timeout expired";

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something else went wrong.
    Failed = 1,
    /// The command was called wrongly.
    Usage = 2,
    /// There is no such session or slot.
    NotFound = 3,
    /// The control plane, or a part of it, cannot be reached: trying again later makes sense.
    Unavailable = 4,
    /// The secret or the certificate was not accepted.
    Refused = 5,
    /// The session or the slot is not in a state that allows it.
    State = 6,
}

/// A failure.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What a call answered, which went to `address`.
    pub fn of(status: &Status, address: &str) -> Self {
        let (reason, wait) = Fault::reason(status);
        let Some(reason) = reason else {
            return Self::of_transport(status, address);
        };
        let kind = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Kind::Usage,
            Code::NotFound => Kind::NotFound,
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Kind::Unavailable,
            Code::Unauthenticated | Code::PermissionDenied => Kind::Refused,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Kind::State,
            _ => Kind::Failed,
        };
        let wait = wait
            .map(|seconds| format!(" Try again in {seconds} s."))
            .unwrap_or_default();
        Self::new(kind, format!("{}{wait} ({reason})", status.message()))
    }

    /// The call came to nothing before the control plane could answer.
    fn of_transport(status: &Status, address: &str) -> Self {
        let cause = root(status);
        let distrust = ["certificate", "fatal alert"];
        if distrust.iter().any(|word| cause.to_lowercase().contains(word)) {
            let message = format!("{address} and previewctl do not trust each other's certificates: {cause}");
            return Self::new(Kind::Refused, message);
        }
        match status.code() {
            Code::Cancelled if cause == EXPIRED => Self::silent(address),
            Code::DeadlineExceeded => Self::silent(address),
            Code::Unimplemented => Self::new(
                Kind::Failed,
                format!("{address} does not know this call: it is another service, or another version"),
            ),
            // Over TLS a server hangs up before it could say that it wants another certificate.
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
                if address.starts_with("https://") && is_hang_up(&cause) =>
            {
                let message = format!("{address} hung up ({cause}); does it accept your --cert-file?");
                Self::new(Kind::Refused, message)
            }
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => {
                // A server that speaks something else hangs up as one does that is just stopping.
                let hint = match is_hang_up(&cause) || cause.contains("frame with invalid size") {
                    true => "; if it is up: does it want https, or is it no gRPC port?",
                    false => "",
                };
                Self::new(Kind::Unavailable, format!("{address} cannot be reached: {cause}{hint}"))
            }
            code => Self::new(Kind::Failed, format!("{address} answered {code:?}: {cause}")),
        }
    }

    fn silent(address: &str) -> Self {
        Self::new(Kind::Unavailable, format!("{address} gave no answer in time"))
    }

    /// The same in other words.
    pub fn in_short(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Whether trying again later makes sense.
    pub fn is_passing(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Tells the user and gives the process its exit code. Who closed our output wants to hear nothing more.
    pub fn report(self) -> ExitCode {
        if self.message.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("previewctl: {self}");
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::Failed, ""),
            _ => Self::new(Kind::Failed, format!("the output cannot be written: {error}")),
        }
    }
}

/// Whether the other side ended a connection that had been made.
fn is_hang_up(cause: &str) -> bool {
    let cause = cause.to_lowercase();
    ["connection closed", "broken pipe", "connection reset"]
        .iter()
        .any(|end| cause.contains(end))
}

/// The innermost cause.
fn root(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fault::codes;

    #[test]
    fn refusals_have_exit_codes_and_say_what_to_wait_for() {
        let cases = [
            (
                Fault::new(codes::SESSION_NOT_FOUND, "There is no such session."),
                Kind::NotFound,
            ),
            (Fault::field("target", "must be 0 to 500"), Kind::Usage),
            (Fault::unavailable(2, "away"), Kind::Unavailable),
            (Fault::new(codes::UNAUTHORIZED, "no"), Kind::Refused),
            (Fault::new(codes::INVALID_STATE, "no"), Kind::State),
            (Fault::internal("secret"), Kind::Failed),
        ];
        for (fault, kind) in cases {
            let waits = fault.wait();
            let failure = Failure::of(&Status::from(fault), "http://h");
            assert_eq!(failure.kind, kind, "{failure}");
            assert_eq!(
                failure.message.contains("Try again in 2 s."),
                waits.is_some(),
                "{failure}"
            );
            assert!(!failure.message.contains("secret"));
        }
        for (address, cause, kind) in [
            ("https://h", "connection closed", Kind::Refused),
            ("https://h", "received fatal alert: UnknownCA", Kind::Refused),
            ("https://h", "Connection refused (os error 111)", Kind::Unavailable),
            ("http://h", "connection closed", Kind::Unavailable),
            ("http://h", "frame with invalid size", Kind::Unavailable),
        ] {
            let broken = Failure::of(&Status::unknown(cause), address);
            assert_eq!(broken.kind, kind, "{broken}");
            let ended = kind == Kind::Unavailable && !cause.contains("refused");
            assert_eq!(broken.message.contains("does it want https"), ended, "{broken}");
        }
        let silent = Failure::of(&Status::cancelled("Timeout expired"), "http://h");
        assert_eq!(
            (silent.kind, silent.message.as_str()),
            (Kind::Unavailable, "http://h gave no answer in time")
        );
    }
}
