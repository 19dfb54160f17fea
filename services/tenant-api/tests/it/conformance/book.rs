//! The contract of the registered modules, as a list of endpoints.

use anyhow::{Context, Result};
use http::Method;
use tenant_api::modules::{PARTS, ROLES};
use testkit::{
    Api,
    contract::{Contract, Field, Resource, Returns, snake},
};

use crate::harness::Session;

/// The files of the modules whose routes are registered.
pub struct Book(Vec<Contract>);

/// What a route takes.
#[derive(Clone, Debug)]
pub enum Takes {
    /// Nothing: GET and DELETE.
    Nothing,
    /// A JSON object of these fields.
    Json(Vec<Field>),
    /// A form with a file.
    Form,
}

/// A route of the contract.
#[derive(Clone)]
pub struct Endpoint<'a> {
    pub contract: &'a Contract,
    pub resource: &'a Resource,
    /// `list`, `get`, `create`, `update`, `delete` or the name of an action.
    pub operation: &'a str,
    pub method: Method,
    /// Parameters in braces.
    pub path: String,
    pub who: &'a [String],
    pub status: u16,
    pub takes: Takes,
    pub query: Vec<Field>,
    pub returns: Returns,
    pub is_action: bool,
}

const OPERATIONS: [(&str, Method, &str, u16); 5] = [
    ("list", Method::GET, "", 200),
    ("get", Method::GET, "/{id}", 200),
    ("create", Method::POST, "", 201),
    ("update", Method::PATCH, "/{id}", 200),
    ("delete", Method::DELETE, "/{id}", 200),
];

impl Book {
    pub fn read() -> Result<Self> {
        PARTS
            .iter()
            .map(|part| Contract::read(part.id))
            .collect::<Result<_>>()
            .map(Self)
    }

    pub fn contracts(&self) -> &[Contract] {
        &self.0
    }

    /// Modules besides core: a session with all features of those that are registered.
    pub fn features(&self) -> Vec<&str> {
        let modules = self.0.iter().map(|contract| contract.module.as_str());
        modules.filter(|module| *module != "core").collect()
    }

    pub fn resources(&self) -> impl Iterator<Item = (&Contract, &Resource)> {
        let all = self.0.iter();
        all.flat_map(|contract| contract.resources.iter().map(move |resource| (contract, resource)))
    }

    pub fn endpoints(&self) -> Vec<Endpoint<'_>> {
        let all = self.resources();
        all.flat_map(|(contract, resource)| standard(contract, resource).chain(actions(contract, resource)))
            .collect()
    }

    /// A shape by its name: the module's own, else core's.
    pub fn shape(&self, contract: &Contract, name: &str) -> Vec<Field> {
        let own = contract.shapes.get(name);
        let found = own.or_else(|| self.0.first().and_then(|core| core.shapes.get(name)));
        found.unwrap_or_else(|| panic!("no shape {name}")).clone()
    }

    /// A resource by its name: the module's own, else core's.
    pub fn resource<'a>(&'a self, contract: &'a Contract, name: &str) -> (&'a Contract, &'a Resource) {
        let of = |contract: &'a Contract| contract.resource(name).map(|resource| (contract, resource));
        let found = of(contract).or_else(|| self.0.first().and_then(of));
        found.unwrap_or_else(|| panic!("no resource {name}"))
    }
}

fn standard<'a>(contract: &'a Contract, resource: &'a Resource) -> impl Iterator<Item = Endpoint<'a>> {
    OPERATIONS.iter().filter_map(move |(operation, method, tail, status)| {
        let who = resource.operations.get(*operation)?.words();
        Some(Endpoint {
            contract,
            resource,
            operation,
            method: method.clone(),
            path: format!("{}{}{tail}", contract.prefix, resource.path),
            who,
            status: *status,
            takes: match *operation {
                "create" | "update" => Takes::Json(fields(resource, operation)),
                _ => Takes::Nothing,
            },
            query: Vec::new(),
            returns: match *operation {
                "list" => Returns {
                    list: Some(resource.name.clone()),
                    ..Returns::default()
                },
                "delete" => Returns::default(),
                _ => Returns {
                    resource: Some(resource.name.clone()),
                    ..Returns::default()
                },
            },
            is_action: false,
        })
    })
}

/// What the body of a create or an update may hold.
fn fields(resource: &Resource, operation: &str) -> Vec<Field> {
    let own = resource
        .fields
        .iter()
        .filter(|field| !field.is_by_server() && (operation == "create" || field.write.as_deref() != Some("create")));
    let more = resource
        .inputs
        .iter()
        .filter(|field| field.ops.iter().any(|op| op == operation));
    own.chain(more).cloned().collect()
}

fn actions<'a>(contract: &'a Contract, resource: &'a Resource) -> impl Iterator<Item = Endpoint<'a>> {
    resource.actions.iter().map(move |action| Endpoint {
        contract,
        resource,
        operation: &action.name,
        method: action.method.parse().expect("a method"),
        path: format!("{}{}", contract.prefix, action.path),
        who: action.who.words(),
        status: action.status.unwrap_or(200),
        takes: match action.method.as_str() {
            "GET" | "DELETE" => Takes::Nothing,
            _ if action.body.iter().any(|field| field.kind == "file") => Takes::Form,
            _ => Takes::Json(action.body.clone()),
        },
        query: action.query.clone(),
        returns: action.returns.clone(),
        is_action: true,
    })
}

impl Endpoint<'_> {
    /// `module.resource.operation`.
    pub fn name(&self) -> String {
        format!("{}.{}.{}", self.contract.module, self.resource.name, self.operation)
    }

    /// Whether one of these words may call it.
    pub fn is_for(&self, words: &[&str]) -> bool {
        self.who.iter().any(|word| words.contains(&word.as_str()))
    }

    /// Names of the parameters in its path.
    pub fn parameters(&self) -> Vec<&str> {
        let segments = self.path.split('/');
        segments
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect()
    }

    /// Its path with ids that nothing has.
    pub fn nowhere(&self) -> String {
        let mut path = self.path.clone();
        for name in self.parameters() {
            path = path.replace(&format!("{{{name}}}"), &uuid::Uuid::now_v7().to_string());
        }
        path
    }

    /// The fields of its body.
    pub fn body(&self) -> &[Field] {
        match &self.takes {
            Takes::Json(fields) => fields,
            Takes::Nothing | Takes::Form => &[],
        }
    }
}

impl<'a> Endpoint<'a> {
    /// The resource whose rows it is about: its own, or the one that a view shows.
    pub fn rows(&self, book: &'a Book) -> (&'a Contract, &'a Resource) {
        let shown = self.returns.resource.as_ref().or(self.returns.list.as_ref());
        match shown.filter(|name| !name.starts_with(|letter: char| letter.is_ascii_uppercase())) {
            Some(name) => book.resource(self.contract, name),
            None => (self.contract, self.resource),
        }
    }

    /// Its path with the ids of a row that there is, one of this user's if possible; `None` when there is none.
    pub async fn somewhere(&self, book: &'a Book, session: &Session, email: &str) -> Result<Option<String>> {
        let mut path = self.path.clone();
        let names = self.parameters();
        if names.is_empty() {
            return Ok(Some(path));
        }
        // The parameters are about the resource in the path, which an action need not answer with.
        let of = if self.resource.table.is_some() {
            self.resource
        } else {
            self.rows(book).1
        };
        let Some(table) = &of.table else { return Ok(None) };
        let columns: Vec<String> = names.iter().map(|name| snake(name)).collect();
        let owner = of.owner.as_deref().filter(|owner| !owner.contains('.'));
        let order = owner.map_or_else(String::new, |owner| {
            let own = format!("(SELECT id FROM users WHERE email = '{email}')");
            format!("ORDER BY t.{} IS NOT DISTINCT FROM {own} DESC, id", snake(owner))
        });
        let sql = format!("SELECT {} FROM {table} t {order} LIMIT 1", columns.join(", "));
        let Some(row) = session.sql(&sql).await?.into_iter().next() else {
            return Ok(None);
        };
        for (name, value) in names.iter().zip(row) {
            path = path.replace(&format!("{{{name}}}"), &value.unwrap_or_default());
        }
        Ok(Some(path))
    }
}

/// A user without any role of a module, and one with `role`: whoever of the demo accounts it is.
pub async fn somebody(session: &Session, role: Option<&str>) -> Result<Api> {
    let condition = match role {
        Some(name) => {
            let role = ROLES.iter().find(|role| role.name == name);
            format!("EXISTS ({})", role.context("a role that is registered")?.held)
        }
        None => ROLES
            .iter()
            .map(|role| format!("NOT EXISTS ({})", role.held))
            .collect::<Vec<_>>()
            .join(" AND "),
    };
    let sql = format!("SELECT email FROM users u WHERE role = 'USER' AND {condition} ORDER BY email LIMIT 1");
    session.sign_in(&session.value(&sql).await?).await
}
