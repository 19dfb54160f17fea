//! Rows shown within others: the children of all rows of an answer, of several kinds, in one statement.

use std::collections::HashMap;

use sea_orm::ModelTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Field, Kind, Read, Resource, Row, Spec,
    field::{IMPLICIT, column},
    spec::find_column,
    value,
};
use crate::http::{Call, Result};

/// One kind of children. Computed fields and addresses of uploads are not among what is shown of them.
#[derive(Clone, Copy, Debug)]
pub struct Children {
    /// The field of the parent that they are shown in.
    pub name: &'static str,
    /// What they are.
    pub spec: Spec,
    /// Their field with the parent's id.
    pub parent: &'static str,
    /// Their order, as SQL over columns.
    pub order: &'static str,
}

/// Adds children to rows: an array for each kind, empty where there are none.
///
/// # Errors
/// When the database refuses.
pub async fn children<R: Resource>(call: &Call, rows: &mut [Row<R>], kinds: &[Children]) -> Result<()> {
    let Some(id) = find_column::<R>("id").filter(|_| !rows.is_empty()) else {
        return Ok(());
    };
    let id = |row: &Row<R>| match row.model.get(id) {
        sea_orm::Value::Uuid(id) => id,
        _ => None,
    };
    let ids: Vec<Uuid> = rows.iter().filter_map(id).collect();
    let selects: Vec<String> = kinds.iter().map(|kind| select(kind, call.is_staff())).collect();
    let sql = selects.join(" UNION ALL ");
    let mut found: HashMap<(String, Uuid), Value> = HashMap::new();
    for row in call.rows(&sql, [value::uuids(&ids)]).await? {
        found.insert(
            (row.try_get("", "kind")?, row.try_get("", "parent")?),
            row.try_get("", "children")?,
        );
    }
    for row in rows {
        for kind in kinds {
            let children = id(row).and_then(|id| found.remove(&(kind.name.to_owned(), id)));
            row.json
                .insert(kind.name.to_owned(), children.unwrap_or_else(|| json!([])));
        }
    }
    Ok(())
}

fn select(kind: &Children, is_staff: bool) -> String {
    let Children {
        name,
        spec,
        parent,
        order,
    } = kind;
    let parent = column(parent);
    format!(
        "SELECT '{name}' AS kind, \"{parent}\" AS parent, json_agg({} ORDER BY {order}) AS children \
         FROM \"{}\" WHERE \"{parent}\" = ANY ($1) GROUP BY \"{parent}\"",
        row(spec, is_staff),
        spec.table
    )
}

/// SQL for a row of a collection as JSON, as far as others than its owner may read it; its columns are in scope.
#[must_use]
pub fn row(spec: &Spec, is_staff: bool) -> String {
    let may_read = |field: &&Field| match field.read {
        Read::All => true,
        Read::Owner | Read::Staff => is_staff,
        Read::None => false,
    };
    let version = Field::int("version");
    let fields = std::iter::once(&IMPLICIT[0])
        .chain(spec.fields.iter().filter(may_read))
        .chain(spec.versioned.then_some(&version))
        .chain(&IMPLICIT[1..]);
    object(fields)
}

/// SQL for these fields as JSON; their columns are in scope.
#[must_use]
pub fn object<'a>(fields: impl IntoIterator<Item = &'a Field>) -> String {
    let pairs: Vec<String> = fields
        .into_iter()
        .map(|field| format!("'{}', {}", field.name, shown(field)))
        .collect();
    format!("json_build_object({})", pairs.join(", "))
}

/// A column in the form that JSON has outside.
fn shown(field: &Field) -> String {
    let column = format!("\"{}\"", column(field.name));
    match field.kind {
        Kind::Money | Kind::Decimal(_) | Kind::Date => format!("{column}::text"),
        Kind::Timestamp => format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"),
        Kind::Time => format!("to_char({column}, 'HH24:MI')"),
        _ => column,
    }
}
