//! Routes as data: router, checks, audit and documents are derived from one list.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::http::Method;

use super::{Answer, Call, Result};
use crate::resource::{Field, Returns, Shape};
use fault::Code;

/// Who may call a route (contract README section 8). ADMIN passes every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Any visitor of the session.
    Public,
    /// Anyone signed in.
    User,
    /// The signed-in user that the row belongs to; the handler looks at the row.
    Owner,
    /// Role STAFF.
    Staff,
    /// Role ADMIN.
    Admin,
    /// A role that a module defines for some rows or accounts; the handler looks.
    Module(&'static str),
}

impl Who {
    /// Whether a list has `mine`: owners see their own rows, others, at least admins, may see more (contract README
    /// section 6).
    #[must_use]
    pub fn has_mine(who: &[Self]) -> bool {
        who.contains(&Self::Owner)
    }
}

/// What a route does, boxed.
pub type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send>> + Send + Sync>;

/// Whether a route takes a body.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// It takes none; one that is sent is not looked at.
    None,
    /// A JSON object of these fields. No body counts as `{}`.
    Fields(&'static [Field]),
    /// A JSON object of the fields that a change may have: what is left out stays out.
    Changes {
        /// Its fields.
        fields: &'static [Field],
        /// Whether it may name the version that it was made from.
        versioned: bool,
    },
    /// `multipart/form-data` with one file.
    File,
}

impl Body {
    /// The fields that it may have.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Fields(fields) | Self::Changes { fields, .. } => fields,
            Self::None | Self::File => &[],
        }
    }
}

/// One route.
#[derive(Clone)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with names of parameters in braces.
    pub path: String,
    /// The module it belongs to.
    pub module: &'static str,
    /// The resource it belongs to.
    pub resource: &'static str,
    /// What it does: `list`, `get`, `create`, `update`, `delete`, or an action's name.
    pub operation: &'static str,
    /// Who may call it: any of these.
    pub who: &'static [Who],
    /// The status of success.
    pub status: u16,
    /// Whether it takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// What its body holds.
    pub body: Body,
    /// What its query holds.
    pub query: &'static [Field],
    /// Headers that it looks at, beside those of every route.
    pub headers: &'static [&'static str],
    /// What its answer holds.
    pub returns: Returns,
    /// Codes that it may refuse with, beside those that follow from the rest of this.
    pub errors: &'static [Code],
    /// Whether an audit row is written whoever calls it: registration, sign-in, purchase, cancellation.
    pub audited: bool,
    /// Whether a bad bearer token is passed over: the routes of sign-in itself.
    pub ignores_bearer: bool,
    /// What it does.
    pub handler: Handler,
}

impl Route {
    fn new<F, R>(method: Method, path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self {
            method,
            path: path.to_owned(),
            module: "",
            resource: "",
            operation,
            who: &[Who::Public],
            status: 200,
            idempotent: false,
            body: Body::None,
            query: &[],
            headers: &[],
            returns: Returns::Fields(&[]),
            errors: &[],
            audited: false,
            ignores_bearer: false,
            handler: Arc::new(move |call| Box::pin(handler(call))),
        }
    }

    /// A GET route.
    pub fn get<F, R>(path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::new(Method::GET, path, operation, handler)
    }

    /// A POST route; its body is an empty object unless it is said.
    pub fn post<F, R>(path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::new(Method::POST, path, operation, handler).body(&[])
    }

    /// A PUT route; its body is an empty object unless it is said.
    pub fn put<F, R>(path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::new(Method::PUT, path, operation, handler).body(&[])
    }

    /// A PATCH route; its body is an empty object unless it is said.
    pub fn patch<F, R>(path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::new(Method::PATCH, path, operation, handler).body(&[])
    }

    /// A DELETE route.
    pub fn delete<F, R>(path: &str, operation: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::new(Method::DELETE, path, operation, handler)
    }

    /// Who may call it; anybody when it is not said.
    #[must_use]
    pub const fn who(mut self, who: &'static [Who]) -> Self {
        self.who = who;
        self
    }

    /// It takes a JSON object of these fields.
    #[must_use]
    pub const fn body(mut self, fields: &'static [Field]) -> Self {
        self.body = Body::Fields(fields);
        self
    }

    /// It takes a JSON object of some of these fields; what is left out stays as it is.
    #[must_use]
    pub const fn changes(mut self, fields: &'static [Field]) -> Self {
        self.body = Body::Changes {
            fields,
            versioned: false,
        };
        self
    }

    /// Its body may name the version that the change was made from.
    #[must_use]
    pub const fn versioned(mut self) -> Self {
        if let Body::Changes { fields, .. } = self.body {
            self.body = Body::Changes {
                fields,
                versioned: true,
            };
        }
        self
    }

    /// It takes a file.
    #[must_use]
    pub const fn file(mut self) -> Self {
        self.body = Body::File;
        self
    }

    /// It takes these query parameters.
    #[must_use]
    pub const fn query(mut self, fields: &'static [Field]) -> Self {
        self.query = fields;
        self
    }

    /// It looks at these headers.
    #[must_use]
    pub const fn headers(mut self, names: &'static [&'static str]) -> Self {
        self.headers = names;
        self
    }

    const fn returning(mut self, returns: Returns) -> Self {
        self.returns = returns;
        self
    }

    /// It answers with one of these, everything embedded included.
    #[must_use]
    pub const fn returns(self, shape: &'static Shape) -> Self {
        self.returning(Returns::One(shape))
    }

    /// It answers with an object of these fields.
    #[must_use]
    pub const fn returns_fields(self, fields: &'static [Field]) -> Self {
        self.returning(Returns::Fields(fields))
    }

    /// It answers with a page of these.
    #[must_use]
    pub const fn returns_page(self, shape: &'static Shape) -> Self {
        self.returning(Returns::Page(shape))
    }

    /// It answers with all of these.
    #[must_use]
    pub const fn returns_array(self, shape: &'static Shape) -> Self {
        self.returning(Returns::Array(shape))
    }

    /// It answers with the id of the row that is gone.
    #[must_use]
    pub const fn returns_id(self) -> Self {
        self.returning(Returns::Id)
    }

    /// It answers with bytes of one of these media types.
    #[must_use]
    pub const fn returns_bytes(self, types: &'static [&'static str]) -> Self {
        self.returning(Returns::Bytes(types))
    }

    /// It may refuse with these codes, beside those that every route of its kind has.
    #[must_use]
    pub const fn errors(mut self, codes: &'static [Code]) -> Self {
        self.errors = codes;
        self
    }

    /// It answers with 201.
    #[must_use]
    pub const fn created(mut self) -> Self {
        self.status = 201;
        self
    }

    /// It takes an `Idempotency-Key`.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// It is audited whoever calls it.
    #[must_use]
    pub const fn audited(mut self) -> Self {
        self.audited = true;
        self
    }

    /// A bad bearer token is passed over.
    #[must_use]
    pub const fn ignores_bearer(mut self) -> Self {
        self.ignores_bearer = true;
        self
    }

    /// Names of the parameters in its path, in order.
    #[must_use]
    pub fn parameters(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect()
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }
}

/// The routes of a module, under its prefix.
#[derive(Default)]
pub struct Routes {
    module: &'static str,
    prefix: &'static str,
    routes: Vec<Route>,
}

impl Routes {
    /// An empty list for a module; `prefix` comes before every path.
    #[must_use]
    pub const fn of(module: &'static str, prefix: &'static str) -> Self {
        Self {
            module,
            prefix,
            routes: Vec::new(),
        }
    }

    /// Adds routes of a resource.
    #[must_use]
    pub fn with(mut self, resource: &'static str, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.extend(routes.into_iter().map(|route| Route {
            path: format!("{}{}", self.prefix, route.path),
            module: self.module,
            resource,
            ..route
        }));
        self
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<Route> {
        self.routes
    }
}
