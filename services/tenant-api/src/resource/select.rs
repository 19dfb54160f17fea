//! From the query of a list to a statement: filters, ranges, search, order (contract README section 6).

use fault::{Detail, Fault};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryOrder, Select,
    sea_query::{Expr, NullOrdering, Order},
};
use serde_json::{Map, Value};

use super::{
    Field, Kind, Resource,
    field::column,
    slug,
    spec::{ListSpec, Spec, find_column},
    value,
};
use crate::http::{
    Who,
    query::{Query, typed},
};

/// Words of `q` at most.
const WORDS: usize = 8;
/// The last page that can be asked for; one past the end is empty.
pub const LAST_PAGE: u64 = i32::MAX as u64;
/// Characters of `q` at most.
const LETTERS: usize = 100;
/// The words to find; none find everything.
pub const Q: Field = Field::text("q", "100").verbatim().min("0");

/// The checked query of a list.
#[derive(Debug)]
pub struct Wanted {
    /// From 1.
    pub page: u64,
    /// 1 to 100.
    pub limit: u64,
    /// Filters by value: field and the values of which any matches; none: empty references.
    filters: Vec<(Field, Vec<Value>)>,
    ranges: Vec<(Field, Bound, Value)>,
    /// Further parameters.
    pub params: Map<String, Value>,
    sort: (String, Order),
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    From,
    To,
}

/// Reads the query of a list.
///
/// # Errors
/// 422 with all mistakes.
pub fn read(query: &Query, spec: &Spec) -> Result<Wanted, Fault> {
    let mut details = Vec::new();
    let ListSpec {
        filters,
        ranges,
        params,
        sort,
        default_sort,
        search,
    } = spec.list;
    let number = |name: &'static str, default: u64, max: u64, details: &mut Vec<Detail>| match query
        .get(name)
        .map(str::parse::<u64>)
    {
        None => default,
        Some(Ok(n)) if (1..=max).contains(&n) => n,
        Some(_) => {
            details.push(Detail::new(name, format!("must be a whole number from 1 to {max}")));
            default
        }
    };
    if spec.operations.list.is_some_and(Who::has_mine)
        && query.get("mine").is_some_and(|mine| !matches!(mine, "true" | "false"))
    {
        details.push(Detail::new("mine", "must be true or false"));
    }
    let page = number("page", 1, LAST_PAGE, &mut details);
    let limit = number("limit", 20, 100, &mut details);

    let fields = |names: &'static [&'static str]| names.iter().filter_map(|name| spec.field(name));
    let filters = fields(filters)
        .filter_map(|field| Some((field, values(&field, query.get(field.name)?, &mut details)?)))
        .collect();
    let mut bounds = Vec::new();
    for field in fields(ranges) {
        for (bound, name) in [
            (Bound::From, format!("{}From", field.name)),
            (Bound::To, format!("{}To", field.name)),
        ] {
            let limitless = Field {
                min: None,
                max: None,
                ..field
            };
            if let Some(value) = query
                .get(&name)
                .and_then(|text| typed(&limitless, text, &name, &mut details))
            {
                bounds.push((field, bound, value));
            }
        }
    }
    let mut kept = Map::new();
    for field in params {
        if let Some(value) = query
            .get(field.name)
            .and_then(|text| typed(field, text, field.name, &mut details))
        {
            kept.insert(field.name.to_owned(), value);
        }
    }
    let asked = query.get("sort").unwrap_or(default_sort);
    let (name, order) = asked
        .strip_prefix('-')
        .map_or((asked, Order::Asc), |name| (name, Order::Desc));
    if !sort.contains(&name) && name != default_sort.trim_start_matches('-') {
        details.push(Detail::new(
            "sort",
            format!("must be one of {}, with - before it for descending", sort.join(", ")),
        ));
    }
    let sort = (name.to_owned(), order);
    let words = words(query.get("q").filter(|_| !search.is_empty()), &mut details);
    if details.is_empty() {
        Ok(Wanted {
            page,
            limit,
            filters,
            ranges: bounds,
            params: kept,
            sort,
            words,
        })
    } else {
        Err(Fault::invalid(details))
    }
}

/// The words of a search, bounded.
pub fn words(q: Option<&str>, details: &mut Vec<Detail>) -> Vec<String> {
    let words: Vec<String> = q.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if q.is_some_and(|q| q.chars().count() > LETTERS) || words.len() > WORDS {
        details.push(Detail::new(
            "q",
            format!("must have at most {LETTERS} characters and {WORDS} words"),
        ));
    } else if q.is_some_and(|q| q.chars().any(|c| c.is_control() && !c.is_whitespace())) {
        details.push(Detail::new("q", "must not contain control characters"));
    }
    words
}

/// Values of a filter: several for an enum, none (`null`) for empty references.
fn values(field: &Field, text: &str, details: &mut Vec<Detail>) -> Option<Vec<Value>> {
    if text == "null" && takes_null(field) {
        return Some(Vec::new());
    }
    let parts: Vec<&str> = if matches!(field.kind, Kind::Enum(_)) {
        text.split(',').map(str::trim).collect()
    } else {
        vec![text]
    };
    let asked = field.asked();
    let values: Vec<Value> = parts
        .iter()
        .filter_map(|part| typed(&asked, part, field.name, details))
        .collect();
    (values.len() == parts.len()).then_some(values)
}

/// Whether `null` is a value of a filter: of fields that may be empty, and of every reference (contract README section
/// 6).
#[must_use]
pub fn takes_null(field: &Field) -> bool {
    !field.not_null || field.refers_to.is_some()
}

impl Wanted {
    /// The conditions of filters, ranges and search.
    #[must_use]
    pub fn condition<R: Resource>(&self) -> Condition {
        let mut all = Condition::all();
        for (field, values) in &self.filters {
            let Some(column) = find_column::<R>(field.name) else {
                continue;
            };
            all = match values.as_slice() {
                [] => all.add(column.is_null()),
                [one] => all.add(column.eq(value::sql(field, one))),
                many => all.add(column.is_in(many.iter().map(|one| value::sql(field, one)))),
            };
        }
        for (field, bound, limit) in &self.ranges {
            let Some(column) = find_column::<R>(field.name) else {
                continue;
            };
            all = match bound {
                Bound::From => all.add(column.gte(value::sql(field, limit))),
                Bound::To => all.add(column.lte(value::sql(field, limit))),
            };
        }
        all.add(R::search(&self.words))
    }

    /// Orders a select: nulls last, enums in the order of their values, ties by id.
    #[must_use]
    pub fn order<R: Resource>(&self, mut select: Select<R>) -> Select<R> {
        let (name, order) = &self.sort;
        let key = match (
            R::sort_key(name),
            R::SPEC.field(name).map(|field| field.kind),
            find_column::<R>(name),
        ) {
            (Some(key), ..) => key,
            (None, Some(Kind::Enum(words)), _) => {
                let words = words
                    .iter()
                    .map(|word| format!("'{word}'"))
                    .collect::<Vec<_>>()
                    .join(",");
                let column = column(name);
                Expr::cust(format!(
                    "array_position(ARRAY[{words}]::text[], \"{}\".\"{column}\")",
                    R::SPEC.table
                ))
            }
            (None, _, Some(column)) => Expr::col((R::default(), column)),
            (None, _, None) => return select,
        };
        select = select.order_by_with_nulls(key, order.clone(), NullOrdering::Last);
        match find_column::<R>("id") {
            Some(id) => select.order_by(id, order.clone()),
            None => select,
        }
    }
}

/// Every word occurs in at least one of the fields, whatever its case; `%` and `_` are plain characters.
#[must_use]
pub fn matches<R: Resource>(words: &[String], fields: &[&str]) -> Condition {
    words.iter().fold(Condition::all(), |all, word| {
        let pattern = pattern(word);
        let columns = fields.iter().filter_map(|field| find_column::<R>(field));
        all.add(columns.fold(Condition::any(), |any, column| {
            any.add(ilike((R::default(), column), &pattern))
        }))
    })
}

/// `column ILIKE pattern`.
pub fn ilike<T: sea_orm::sea_query::IntoColumnRef>(column: T, pattern: &str) -> Expr {
    use sea_orm::sea_query::extension::postgres::PgExpr;
    Expr::col(column).ilike(pattern)
}

/// A word as a pattern that finds it anywhere.
#[must_use]
pub fn pattern(word: &str) -> String {
    let mut pattern = String::with_capacity(word.len() + 2);
    pattern.push('%');
    for letter in word.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// One row by its id.
#[must_use]
pub fn by_id<R: Resource>(key: &str) -> Option<Condition> {
    let id = value::id(key)?;
    find_column::<R>("id").map(|column| Condition::all().add(column.eq(id)))
}

/// One row by its id, or by its slug where there is one.
#[must_use]
pub fn by_key<R: Resource>(key: &str) -> Option<Condition> {
    by_id::<R>(key).or_else(|| {
        let slug = R::SPEC.slug().filter(|_| slug::is_one(key))?;
        find_column::<R>(slug.name).map(|column| Condition::all().add(column.eq(key)))
    })
}

/// A condition for the fields that the path fixes.
#[must_use]
pub fn fixed<R: Resource>(parent: &Map<String, Value>) -> Condition {
    parent.iter().fold(Condition::all(), |all, (name, fixed)| {
        match (find_column::<R>(name), R::SPEC.field(name)) {
            (Some(column), Some(field)) => all.add(column.eq(value::sql(&field, fixed))),
            _ => all,
        }
    })
}

/// A select over a collection's table.
#[must_use]
pub fn select<R: Resource>() -> Select<R> {
    <R as EntityTrait>::find()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_a_search_are_plain_characters() {
        assert_eq!(pattern("50%_\\"), "%50\\%\\_\\\\%");
    }

    #[test]
    fn a_search_is_bounded() {
        let mut details = Vec::new();
        assert_eq!(words(Some(" a  b "), &mut details), ["a", "b"]);
        assert!(details.is_empty());
        words(Some("1 2 3 4 5 6 7 8 9"), &mut details);
        words(Some(&"x".repeat(101)), &mut details);
        assert_eq!(details.len(), 2);
    }
}
