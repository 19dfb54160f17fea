//! What can go wrong with slots, and how it answers.

use deadpool_postgres::PoolError;
use fault::{Fault, codes};
use tokio_postgres::error::SqlState;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL refused, or the connection was lost.
    #[error("PostgreSQL")]
    Database(#[from] tokio_postgres::Error),
    /// No connection.
    #[error("no connection to PostgreSQL")]
    Pool(#[from] PoolError),
    /// A name in the records is none.
    #[error("the slot records hold a wrong name")]
    Name(#[from] domain::NotAName),
    /// No slot was to be had in time.
    #[error("no slot got ready within {0} s")]
    Exhausted(u64),
    /// The session has no schema.
    #[error("the session has no schema")]
    NoSchema,
    /// The process stops.
    #[error("the provisioner is stopping")]
    Stopping,
    /// The task that did the work is gone.
    #[error("the work was cut off")]
    Cut,
}

impl Error {
    /// PostgreSQL's code, if it answered.
    #[must_use]
    pub fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            Self::Pool(PoolError::Backend(error)) => error.code(),
            _ => None,
        }
    }

    /// Whether another transaction was in the way: waiting a little helps.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        self.state().is_some_and(|state| {
            [
                &SqlState::LOCK_NOT_AVAILABLE,
                &SqlState::T_R_DEADLOCK_DETECTED,
                &SqlState::T_R_SERIALIZATION_FAILURE,
                &SqlState::QUERY_CANCELED,
            ]
            .contains(&state)
        })
    }

    /// Whether the database cannot be reached or has no room: waiting helps.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Database(error) | Self::Pool(PoolError::Backend(error)) => is_lost(error),
            Self::Pool(_) => true,
            Self::Name(_) | Self::Exhausted(_) | Self::NoSchema | Self::Stopping | Self::Cut => false,
        }
    }
}

/// Whether the connection is lost, or the server has no room or is not ready: 08 connection, 53 out of resources, 57P
/// shutting down or starting.
#[must_use]
pub fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => ["08", "53", "57P"].iter().any(|class| state.code().starts_with(class)),
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if error.is_away() || error.is_contention() {
            return Self::unavailable(1, error);
        }
        match error {
            Error::Exhausted(_) => Self::new(
                codes::UNAVAILABLE,
                "All prepared schemas are taken and making one takes longer than usual. Please try again.",
            )
            .retry_after(2)
            .because(error),
            Error::Stopping | Error::Cut => Self::unavailable(1, error),
            Error::NoSchema => Self::new(codes::NOT_FOUND, "This session has no schema."),
            Error::Database(_) if error.state() == Some(&SqlState::DUPLICATE_SCHEMA) => Self::new(
                codes::CONFLICT,
                "A schema with this session's name exists already and does not belong to the pool.",
            )
            .because(error),
            Error::Database(_) | Error::Pool(_) | Error::Name(_) => Self::internal(error),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Fault::from(error).into()
    }
}
