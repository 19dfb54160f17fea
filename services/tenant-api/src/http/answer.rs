//! What a handler answers with.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fault::{Envelope, Fault, Paged, Pagination};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Route;
use crate::auth::Role;

/// An answer, not yet sent: its transaction commits first.
#[derive(Debug)]
pub struct Answer {
    pub(super) content: Content,
    pub(super) location: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) status: Option<u16>,
    /// The row it is about, for the audit log.
    pub(super) subject: Option<Subject>,
    /// Statements that its transaction took.
    pub(super) statements: u32,
    /// Whether two of them were sent because a table is near its row limit.
    pub(super) near_limit: bool,
}

/// What an answer took of the database: an extension of its response, for whoever stands around the router.
#[derive(Clone)]
pub struct Spent {
    /// The route that answered.
    pub route: Arc<Route>,
    /// Statements. The one message with BEGIN, role and search_path is none, nor is COMMIT.
    pub statements: u32,
    /// Whether two of them were sent because a table is near its row limit ([`crate::closing`]).
    pub near_limit: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    One(Value),
    Page(Vec<Value>, Pagination),
    Binary(&'static str, Vec<u8>),
    Refused(Box<Fault>),
}

/// The row that a write was about.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Its id.
    pub id: Option<Uuid>,
    /// Its resource, where that is not the route's.
    pub resource: Option<&'static str>,
    /// What people call it.
    pub title: String,
    /// Field to `[before, after]`, without secrets.
    pub changes: Option<Value>,
    /// Who did it, when that is not the caller: whoever has just registered or signed in.
    pub actor: Option<Actor>,
}

/// Who did something.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user.
    pub id: Uuid,
    /// As the user is called now.
    pub name: String,
    /// As what.
    pub role: Role,
}

impl Answer {
    const fn of(content: Content) -> Self {
        Self {
            content,
            location: None,
            headers: Vec::new(),
            status: None,
            subject: None,
            statements: 0,
            near_limit: false,
        }
    }

    /// One value.
    #[must_use]
    pub const fn data(value: Value) -> Self {
        Self::of(Content::One(value))
    }

    /// One value that serialises.
    ///
    /// # Errors
    /// 500 when it cannot.
    pub fn json(value: &impl Serialize) -> Result<Self, Fault> {
        serde_json::to_value(value).map(Self::data).map_err(Fault::internal)
    }

    /// One page of rows.
    #[must_use]
    pub const fn page(rows: Vec<Value>, pagination: Pagination) -> Self {
        Self::of(Content::Page(rows, pagination))
    }

    /// Bytes of a type.
    #[must_use]
    pub const fn binary(mime: &'static str, bytes: Vec<u8>) -> Self {
        Self::of(Content::Binary(mime, bytes))
    }

    /// A refusal whose effects are kept nevertheless: the failed payment of a declined card, a counted wrong password.
    #[must_use]
    pub fn refused(fault: Fault) -> Self {
        Self::of(Content::Refused(Box::new(fault)))
    }

    /// Another status than the route's.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The path of the row that was made.
    #[must_use]
    pub fn location(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The row that the write was about.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The row that the write was about, taken out.
    pub fn take_subject(&mut self) -> Subject {
        self.subject.take().unwrap_or_default()
    }

    /// Whether it is a refusal.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.content, Content::Refused(_))
    }

    pub(super) fn into_response(self, route: Arc<Route>) -> Response {
        let status = StatusCode::from_u16(self.status.unwrap_or(route.status)).unwrap_or(StatusCode::OK);
        let mut response = match self.content {
            Content::One(value) => (status, Envelope::new(value)).into_response(),
            Content::Page(rows, pagination) => (status, Paged::new(rows, pagination)).into_response(),
            Content::Binary(mime, bytes) => (status, [(header::CONTENT_TYPE, mime)], Body::from(bytes)).into_response(),
            Content::Refused(fault) => fault.into_response(),
        };
        let headers = response.headers_mut();
        if let Some(location) = self.location.and_then(|path| HeaderValue::from_str(&path).ok()) {
            headers.insert(header::LOCATION, location);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response.extensions_mut().insert(Spent {
            route,
            statements: self.statements,
            near_limit: self.near_limit,
        });
        response
    }
}
