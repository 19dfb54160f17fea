//! Codes for clients, and the one table from kinds to HTTP and gRPC.

use axum::http::StatusCode;

/// A stable word that clients branch on. Modules define their own beside the rule that raises them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The word, such as `OUT_OF_STOCK`.
    pub name: &'static str,
    /// What kind of fault it is.
    pub kind: Kind,
}

/// Kinds of faults. Each has one status in HTTP and one in gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read.
    Malformed,
    /// Nobody, or nobody known, is calling.
    Unauthenticated,
    /// The sandbox's card declines.
    PaymentRequired,
    /// The caller is known and may not.
    Forbidden,
    /// Nothing there, or nothing the caller may see.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed,
    /// The present state forbids it.
    Conflict,
    /// It was there and is over.
    Gone,
    /// The body is over its limit.
    TooLarge,
    /// The body is of a type that is not accepted.
    UnsupportedMedia,
    /// The fields are readable and wrong.
    Invalid,
    /// A limit is reached; waiting helps.
    Exhausted,
    /// A fault of the server.
    Internal,
    /// A part is away; waiting helps.
    Unavailable,
}

impl Kind {
    const fn statuses(self) -> (StatusCode, tonic::Code) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, tonic::Code::Unauthenticated),
            Self::PaymentRequired => (StatusCode::PAYMENT_REQUIRED, tonic::Code::FailedPrecondition),
            Self::Forbidden => (StatusCode::FORBIDDEN, tonic::Code::PermissionDenied),
            Self::NotFound => (StatusCode::NOT_FOUND, tonic::Code::NotFound),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, tonic::Code::Unimplemented),
            Self::Conflict => (StatusCode::CONFLICT, tonic::Code::FailedPrecondition),
            Self::Gone => (StatusCode::GONE, tonic::Code::FailedPrecondition),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, tonic::Code::InvalidArgument),
            Self::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, tonic::Code::InvalidArgument),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, tonic::Code::InvalidArgument),
            Self::Exhausted => (StatusCode::TOO_MANY_REQUESTS, tonic::Code::ResourceExhausted),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, tonic::Code::Internal),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http(self) -> StatusCode {
        self.statuses().0
    }

    /// The gRPC code.
    #[must_use]
    pub const fn grpc(self) -> tonic::Code {
        self.statuses().1
    }
}

impl Code {
    /// A code of a kind.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// The general codes of the contract (README section 4, control-plane section 3).
#[expect(missing_docs, reason = "their meaning stands in docs/contract/core.yaml, errors")]
pub mod codes {
    use super::{Code, Kind};

    pub const BAD_REQUEST: Code = Code::new("BAD_REQUEST", Kind::Malformed);
    pub const INVALID_TOKEN: Code = Code::new("INVALID_TOKEN", Kind::Malformed);
    pub const SESSION_REQUIRED: Code = Code::new("SESSION_REQUIRED", Kind::Unauthenticated);
    pub const UNAUTHORIZED: Code = Code::new("UNAUTHORIZED", Kind::Unauthenticated);
    pub const INVALID_CREDENTIALS: Code = Code::new("INVALID_CREDENTIALS", Kind::Unauthenticated);
    pub const PAYMENT_DECLINED: Code = Code::new("PAYMENT_DECLINED", Kind::PaymentRequired);
    pub const FORBIDDEN: Code = Code::new("FORBIDDEN", Kind::Forbidden);
    pub const ACCOUNT_DISABLED: Code = Code::new("ACCOUNT_DISABLED", Kind::Forbidden);
    pub const REGISTRATION_CLOSED: Code = Code::new("REGISTRATION_CLOSED", Kind::Forbidden);
    pub const NOT_FOUND: Code = Code::new("NOT_FOUND", Kind::NotFound);
    pub const SESSION_NOT_FOUND: Code = Code::new("SESSION_NOT_FOUND", Kind::NotFound);
    pub const FEATURE_NOT_AVAILABLE: Code = Code::new("FEATURE_NOT_AVAILABLE", Kind::NotFound);
    pub const METHOD_NOT_ALLOWED: Code = Code::new("METHOD_NOT_ALLOWED", Kind::MethodNotAllowed);
    pub const CONFLICT: Code = Code::new("CONFLICT", Kind::Conflict);
    pub const VERSION_CONFLICT: Code = Code::new("VERSION_CONFLICT", Kind::Conflict);
    pub const IN_USE: Code = Code::new("IN_USE", Kind::Conflict);
    pub const INVALID_STATE: Code = Code::new("INVALID_STATE", Kind::Conflict);
    pub const ROW_LIMIT_REACHED: Code = Code::new("ROW_LIMIT_REACHED", Kind::Conflict);
    pub const UPLOAD_QUOTA_REACHED: Code = Code::new("UPLOAD_QUOTA_REACHED", Kind::Conflict);
    pub const IDEMPOTENCY_CONFLICT: Code = Code::new("IDEMPOTENCY_CONFLICT", Kind::Conflict);
    pub const TOTAL_CHANGED: Code = Code::new("TOTAL_CHANGED", Kind::Conflict);
    pub const LAST_ADMIN: Code = Code::new("LAST_ADMIN", Kind::Conflict);
    pub const MAX_LIFETIME_REACHED: Code = Code::new("MAX_LIFETIME_REACHED", Kind::Conflict);
    pub const SESSION_EXPIRED: Code = Code::new("SESSION_EXPIRED", Kind::Gone);
    pub const PAYLOAD_TOO_LARGE: Code = Code::new("PAYLOAD_TOO_LARGE", Kind::TooLarge);
    pub const UNSUPPORTED_MEDIA_TYPE: Code = Code::new("UNSUPPORTED_MEDIA_TYPE", Kind::UnsupportedMedia);
    pub const VALIDATION_ERROR: Code = Code::new("VALIDATION_ERROR", Kind::Invalid);
    pub const TOKEN_INVALID: Code = Code::new("TOKEN_INVALID", Kind::Invalid);
    pub const COUPON_INVALID: Code = Code::new("COUPON_INVALID", Kind::Invalid);
    pub const RATE_LIMITED: Code = Code::new("RATE_LIMITED", Kind::Exhausted);
    pub const SESSION_LIMIT_PER_IP: Code = Code::new("SESSION_LIMIT_PER_IP", Kind::Exhausted);
    pub const SCHEMA_CAPACITY_REACHED: Code = Code::new("SCHEMA_CAPACITY_REACHED", Kind::Exhausted);
    pub const INTERNAL: Code = Code::new("INTERNAL", Kind::Internal);
    pub const SESSION_NOT_READY: Code = Code::new("SESSION_NOT_READY", Kind::Unavailable);
    pub const UNAVAILABLE: Code = Code::new("UNAVAILABLE", Kind::Unavailable);
}
