//! What a collection declares about itself. The five handlers, the documents and the tests read nothing else.

use std::{future::Future, str::FromStr};

use fault::{Code, Fault};
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait,
    sea_query::Expr,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Shape,
    field::{Field, column},
};
use crate::http::{Call, Result, Route, Who};

/// The declaration of a collection.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name in the contract.
    pub name: &'static str,
    /// Its path below the module's prefix.
    pub path: &'static str,
    /// Its table.
    pub table: &'static str,
    /// The field with the user that a row belongs to.
    pub owner: Option<&'static str>,
    /// Its fields; `id`, `version`, `createdAt` and `updatedAt` come by themselves.
    pub fields: &'static [Field],
    /// Whether rows carry a version.
    pub versioned: bool,
    /// How it is listed.
    pub list: ListSpec,
    /// Who may do what.
    pub operations: Operations,
}

/// How a collection is listed.
#[derive(Clone, Copy, Debug)]
pub struct ListSpec {
    /// Fields that can be asked for by value.
    pub filters: &'static [&'static str],
    /// Fields that can be asked for by range.
    pub ranges: &'static [&'static str],
    /// Further parameters.
    pub params: &'static [Field],
    /// Fields that it can be sorted by.
    pub sort: &'static [&'static str],
    /// The order when none is asked for.
    pub default_sort: &'static str,
    /// Fields that `q` looks into.
    pub search: &'static [&'static str],
}

/// Who may do what; `None`: nobody, there is no such route.
#[derive(Clone, Copy, Debug)]
pub struct Operations {
    /// Many rows.
    pub list: Option<&'static [Who]>,
    /// One row.
    pub get: Option<&'static [Who]>,
    /// A new row.
    pub create: Option<&'static [Who]>,
    /// A changed row.
    pub update: Option<&'static [Who]>,
    /// One row less.
    pub delete: Option<&'static [Who]>,
}

impl Operations {
    /// Nobody may do anything.
    pub const NONE: Self = Self {
        list: None,
        get: None,
        create: None,
        update: None,
        delete: None,
    };
}

impl ListSpec {
    /// In order of creation, without filters.
    pub const PLAIN: Self = Self {
        filters: &[],
        ranges: &[],
        params: &[],
        sort: &["createdAt"],
        default_sort: "-createdAt",
        search: &[],
    };
}

impl Spec {
    /// The field with a name, implicit ones included.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field> {
        const VERSION: Field = Field::int("version").server();
        let known = self
            .fields
            .iter()
            .chain(&super::field::IMPLICIT)
            .find(|field| field.name == name)
            .copied();
        known.or_else(|| (self.versioned && name == "version").then_some(VERSION))
    }

    /// The field that holds the slug, when there is one.
    #[must_use]
    pub fn slug(&self) -> Option<&'static Field> {
        self.fields.iter().find(|field| matches!(field.kind, super::Kind::Slug))
    }
}

/// A change that is about to be written. `values` holds the fields that will be set, in the form that is kept.
pub struct Change<'a, R: EntityTrait> {
    /// The row as it is; `None` when it is being created.
    pub before: Option<&'a R::Model>,
    /// What will be set.
    pub values: Map<String, Value>,
}

impl<R: EntityTrait> Change<'_, R> {
    /// Whether the row is being created.
    #[must_use]
    pub const fn is_create(&self) -> bool {
        self.before.is_none()
    }

    /// Whether a field will be set to something.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A text that will be set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// A number that will be set.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(Value::as_i64)
    }

    /// An id that will be set.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<Uuid> {
        self.text(name).and_then(|text| Uuid::try_parse(text).ok())
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }
}

/// A collection: an entity of SeaORM with its declaration and what is special about it.
pub trait Resource:
    EntityTrait<
        Model: IntoActiveModel<<Self as EntityTrait>::ActiveModel> + ModelTrait<Entity = Self> + Send + Sync + 'static,
        ActiveModel: ActiveModelBehavior + sea_orm::ActiveModelTrait<Entity = Self> + Send + 'static,
        Column: FromStr + Send + Sync,
    > + Default
{
    /// The declaration.
    const SPEC: Spec;
    /// Fields of every answer that are no columns: computed ones, and single rows that are embedded.
    const COMPUTED: &'static [Field] = &[];
    /// Rows of others that are embedded where one row is shown; lists leave them out.
    const EMBEDS: &'static [Field] = &[];
    /// Codes that its rules refuse a new row with, beside the general ones.
    const CREATE_ERRORS: &'static [Code] = &[];
    /// The same of a changed row.
    const UPDATE_ERRORS: &'static [Code] = &[];
    /// The same of a row that is deleted.
    const DELETE_ERRORS: &'static [Code] = &[];
    /// What is shown of a row.
    const ROW: &'static Shape = &Shape {
        name: Self::SPEC.table,
        row: Some(&Self::SPEC),
        fields: Self::COMPUTED,
        embeds: Self::EMBEDS,
    };

    /// Rows that the caller may see. Where only owners are let in, plain users see their own.
    fn visible(call: &Call) -> impl Future<Output = Result<Condition>> + Send {
        let condition = owned::<Self>(call);
        async move { Ok(condition) }
    }

    /// What further parameters of the list narrow it to.
    fn narrow(_call: &Call, _params: &Map<String, Value>) -> impl Future<Output = Result<Condition>> + Send {
        async { Ok(Condition::all()) }
    }

    /// What a sort goes by that is no column of the table.
    fn sort_key(_name: &str) -> Option<Expr> {
        None
    }

    /// What comes first in a list whatever its sort: rows where this is true.
    fn foremost(_call: &Call) -> Option<Expr> {
        None
    }

    /// Rows that a search finds: each word in one of the search fields.
    fn search(words: &[String]) -> Condition {
        super::select::matches::<Self>(words, Self::SPEC.list.search)
    }

    /// Fields that the path fixes: the parent's id, when the caller may see the parent.
    fn parent(_call: &Call) -> impl Future<Output = Result<Map<String, Value>>> + Send {
        async { Ok(Map::new()) }
    }

    /// Whether a row belongs to the caller.
    fn owns(call: &Call, row: &Self::Model) -> impl Future<Output = Result<bool>> + Send {
        let owns = Self::SPEC.owner.zip(call.caller()).is_some_and(|(owner, caller)| {
            find_column::<Self>(owner).is_some_and(|column| row.get(column) == sea_orm::Value::Uuid(Some(caller.id)))
        });
        async move { Ok(owns) }
    }

    /// Whether the caller holds a module's role for a row, or for making one.
    fn holds(
        _call: &Call,
        _role: &'static str,
        _row: Option<&Self::Model>,
    ) -> impl Future<Output = Result<bool>> + Send {
        async { Ok(false) }
    }

    /// The refusal of a new row whose unique key another request has just taken, where the general conflict will not do.
    #[must_use]
    fn taken() -> Option<Fault> {
        None
    }

    /// Checks and completes a change before it is written.
    fn prepare(_call: &Call, _change: &mut Change<'_, Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What follows from a change, in the same transaction. `before` is `None` for a new row.
    fn written(
        _call: &Call,
        _before: Option<&Self::Model>,
        _after: &Self::Model,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Checks and clears away before a row is deleted.
    fn deleting(_call: &Call, _row: &Self::Model) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Adds computed fields and embedded rows, to all rows of an answer at once.
    fn extend(_call: &Call, _rows: &mut [super::Row<Self>], _whole: bool) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// The column of a field.
#[must_use]
pub fn find_column<R: Resource>(field: &str) -> Option<R::Column> {
    R::Column::from_str(&column(field)).ok()
}

/// All columns of a table under an alias, each named with a prefix: for rows of several tables in one.
#[must_use]
pub fn columns<R: Resource>(alias: &str, prefix: &str) -> String {
    let columns = R::Column::iter().map(|column| {
        let name = column.as_str().to_owned();
        format!("{alias}.\"{name}\" AS \"{prefix}{name}\"")
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Own rows only, where the route lets owners in and the caller is let in as nothing more; `mine=true` narrows others.
#[must_use]
pub fn owned<R: Resource>(call: &Call) -> Condition {
    let route = call.route();
    // From elsewhere (the search, the route of a child) the rows are those of the collection's own list.
    let who = match R::SPEC.operations.list {
        Some(who) if route.resource != R::SPEC.name => who,
        _ => route.who,
    };
    let everything = Condition::all();
    if !who.contains(&Who::Owner) {
        return everything;
    }
    let sees_all = call.is_admin() || (call.is_staff() && who.contains(&Who::Staff));
    if sees_all && call.query().get("mine") != Some("true") {
        return everything;
    }
    let column = R::SPEC.owner.and_then(find_column::<R>);
    match (column, call.caller()) {
        (Some(column), Some(caller)) => everything.add(column.eq(caller.id)),
        _ => everything.add(Expr::value(false)),
    }
}

/// The routes of a collection's standard operations.
#[must_use]
pub fn routes<R: Resource>() -> Vec<Route> {
    let spec = R::SPEC;
    let one = format!("{}/{{id}}", spec.path);
    let operations = spec.operations;
    let mut routes = Vec::new();
    if let Some(who) = operations.list {
        routes.push(
            Route::get(spec.path, "list", super::list::list::<R>)
                .who(who)
                .query(spec.list.params)
                .returns_page(R::ROW),
        );
    }
    if let Some(who) = operations.get {
        routes.push(Route::get(&one, "get", super::show::show::<R>).who(who).returns(R::ROW));
    }
    if let Some(who) = operations.create {
        routes.push(
            Route::post(spec.path, "create", super::create::create::<R>)
                .who(who)
                .body(spec.fields)
                .created()
                .returns(R::ROW)
                .errors(R::CREATE_ERRORS),
        );
    }
    if let Some(who) = operations.update {
        let route = Route::patch(&one, "update", super::update::update::<R>)
            .who(who)
            .changes(spec.fields)
            .returns(R::ROW)
            .errors(R::UPDATE_ERRORS);
        routes.push(if spec.versioned { route.versioned() } else { route });
    }
    if let Some(who) = operations.delete {
        routes.push(
            Route::delete(&one, "delete", super::delete::delete::<R>)
                .who(who)
                .returns_id()
                .errors(R::DELETE_ERRORS),
        );
    }
    routes
}
