//! What goes wrong, as one value that knows its HTTP and its gRPC answer.
//!
//! A [`Code`] is a stable word for clients and belongs to a [`Kind`]; one table maps kinds to statuses. A [`Fault`]
//! adds the sentence for people, the wrong fields, and a cause that only the log sees.

mod code;
mod grpc;
mod http;

use std::{borrow::Cow, error::Error, fmt};

use serde::Serialize;

pub use code::{Code, Kind, codes};
pub use http::{ENVELOPE_FAILURE, Envelope, Paged, Pagination};

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Path of the field, such as `items[0].quantity`.
    pub field: String,
    /// What would be right.
    pub message: String,
}

impl Detail {
    /// A wrong field and what would be right.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// A refused or failed request.
#[derive(Debug)]
pub struct Fault {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    always_details: bool,
    retry_after: Option<u64>,
    allow: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault with a sentence for people.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let always_details = code.kind == Kind::Invalid;
        Self {
            inner: Box::new(Inner {
                code,
                message: message.into(),
                details: Vec::new(),
                always_details,
                retry_after: None,
                allow: None,
                cause: None,
            }),
        }
    }

    /// Wrong fields: 422 `VALIDATION_ERROR`.
    #[must_use]
    pub fn invalid(details: Vec<Detail>) -> Self {
        let message = match details.as_slice() {
            [only] => Cow::Owned(format!("{}: {}", only.field, only.message)),
            _ => Cow::Borrowed("Some fields are wrong; details name them."),
        };
        let mut fault = Self::new(codes::VALIDATION_ERROR, message);
        fault.inner.details = details;
        fault
    }

    /// One wrong field: 422 `VALIDATION_ERROR`.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Detail::new(field, message)])
    }

    /// Nothing there, or nothing the caller may see: 404 `NOT_FOUND`.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(codes::NOT_FOUND, "There is nothing at this address.")
    }

    /// A fault of the server; `cause` goes to the log and nowhere else.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            codes::INTERNAL,
            "Something went wrong on our side. Quote the request id when you report it.",
        )
        .because(cause)
    }

    /// A part that is needed is away; trying again after `seconds` makes sense.
    pub fn unavailable(seconds: u64, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            codes::UNAVAILABLE,
            "A part of the service cannot be reached right now. Please try again.",
        )
        .retry_after(seconds)
        .because(cause)
    }

    /// Adds a wrong field, or the fact that a code promises in its details.
    #[must_use]
    pub fn detail(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.inner.details.push(Detail::new(field, message));
        self
    }

    /// Adds several of them.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = Detail>) -> Self {
        self.inner.details.extend(details);
        self
    }

    /// Seconds to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.inner.retry_after = Some(seconds);
        self
    }

    /// Methods that the path does have, for 405.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.inner.allow = Some(methods.into());
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.inner.cause = Some(cause.into());
        self
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The wrong fields.
    #[must_use]
    pub fn fields(&self) -> &[Detail] {
        &self.inner.details
    }

    /// Seconds to wait before trying again, where there is a wait.
    #[must_use]
    pub fn wait(&self) -> Option<u64> {
        self.inner.retry_after
    }

    /// Writes the fault to the log, once, where it becomes an answer: server faults as errors with their cause,
    /// refusals for debugging only.
    fn log(&self) {
        let Inner {
            code, message, cause, ..
        } = &*self.inner;
        let cause = cause.as_deref().map(|cause| chain(cause));
        let cause = cause.as_deref().unwrap_or_default();
        match code.kind {
            Kind::Internal => tracing::error!(error.code = code.name, error.cause = cause, "{message}"),
            Kind::Unavailable => tracing::warn!(error.code = code.name, error.cause = cause, "{message}"),
            _ => tracing::debug!(error.code = code.name, error.cause = cause, "{message}"),
        }
    }
}

/// An error and its sources in one line, for the log.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.to_string();
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        source = error.source();
    }
    // PostgreSQL's own words may have several.
    text.replace('\n', "; ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.code.name, self.inner.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
