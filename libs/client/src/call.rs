//! One call: repeated while the other side is away, until its deadline.

use std::{future::Future, time::Duration};

use fault::{Detail, Fault};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a call may take, repeats included.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Duration);

impl Default for Deadline {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane refused; asking again changes nothing, or only after a wait.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Box<Refusal>),
    /// It could not be reached, or was not ready, within the deadline.
    #[error("the control plane gave no answer in time")]
    Unavailable(#[source] Box<Status>),
    /// Its answer cannot be understood.
    #[error("the control plane's answer cannot be read: {0}")]
    Unreadable(&'static str),
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stable code, such as `RATE_LIMITED`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Wrong fields.
    pub fields: Vec<Detail>,
    /// When asking again may help.
    pub retry_after: Option<Duration>,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let (code, wait) = Fault::reason(&status);
        match code {
            Some(code) if status.code() != Code::Unavailable => Self::Refused(Box::new(Refusal {
                code,
                message: status.message().to_owned(),
                fields: fields(&status),
                retry_after: wait.map(Duration::from_secs),
            })),
            _ => Self::Unavailable(Box::new(status)),
        }
    }
}

fn fields(status: &Status) -> Vec<Detail> {
    let wrong = status.get_details_bad_request().map(|request| request.field_violations);
    wrong
        .unwrap_or_default()
        .into_iter()
        .map(|wrong| Detail::new(wrong.field, wrong.description))
        .collect()
}

impl Deadline {
    /// Calls until there is an answer. The rest of the deadline travels with each try, so that the other side stops
    /// working when nobody waits any more.
    pub(crate) async fn call<M, A, F, R>(self, message: &M, call: F) -> Result<A, Error>
    where
        M: Clone,
        F: Fn(Request<M>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        self.repeat(message, call, true).await
    }

    /// The same for a stream: the deadline is for its opening alone, so it does not travel.
    pub(crate) async fn open<M, A, F, R>(self, message: &M, call: F) -> Result<A, Error>
    where
        M: Clone,
        F: Fn(Request<M>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        self.repeat(message, call, false).await
    }

    async fn repeat<M, A, F, R>(self, message: &M, call: F, travels: bool) -> Result<A, Error>
    where
        M: Clone,
        F: Fn(Request<M>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let end = Instant::now() + self.0;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut request = Request::new(message.clone());
            if travels {
                request.set_timeout(end.saturating_duration_since(Instant::now()));
            }
            let answer = tokio::time::timeout_at(end, call(request)).await;
            let status = match answer {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer within the deadline"),
            };
            let wait = Fault::reason(&status).1.map_or(pause, Duration::from_secs);
            if !is_passing(&status) || Instant::now() + wait >= end {
                return Err(status.into());
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A side that is away: nothing of ours was refused.
fn is_passing(status: &Status) -> bool {
    let broken = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    status.code() == Code::Unavailable || (broken && Fault::reason(status).0.is_none())
}
