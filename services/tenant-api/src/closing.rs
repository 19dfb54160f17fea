//! The end of a request: what nothing in it waits for is gathered and sent as one statement, and the row limit of the
//! tables that got rows is looked at.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fault::{Fault, codes};
use sea_orm::Value;

use crate::http::{Call, Result};

/// From this many rows below the limit on, requests that give rows to a table end one after another, so that the limit
/// is exact. A fleet has fewer connections than that, and only what is under way in other transactions is not counted.
const CROWDED: u64 = 500;

/// What is gathered.
#[derive(Debug, Default)]
pub struct Closing(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    /// Statements, each with the table that it gives rows to.
    writes: Vec<(String, Option<&'static str>)>,
    /// Their parameters, numbered through.
    values: Vec<Value>,
    /// Tables that got rows.
    tables: BTreeSet<&'static str>,
    /// What must hold, in SQL, and the refusal when it does not.
    rules: Vec<(&'static str, Fault)>,
}

impl Closing {
    /// An UPDATE or DELETE for later. All that is gathered sees the rows as they were before the first of it, so no two
    /// may change the same row, and none may make way for another.
    pub fn write(&self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.gather(sql, values, None);
    }

    /// An INSERT (without RETURNING) for later.
    pub fn insert(&self, table: &'static str, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.gather(sql, values, Some(table));
    }

    /// Looks at a table's row limit at the end: for rows that were inserted at once.
    pub fn watch(&self, table: &'static str) {
        self.gathered().tables.insert(table);
    }

    /// A condition that must hold when all is written, whatever others are writing meanwhile.
    pub fn require(&self, condition: &'static str, refusal: Fault) {
        self.gathered().rules.push((condition, refusal));
    }

    fn gather(&self, sql: &str, values: impl IntoIterator<Item = Value>, table: Option<&'static str>) {
        let mut gathered = self.gathered();
        let sql = renumbered(sql, gathered.values.len());
        gathered.writes.push((sql, table));
        gathered.values.extend(values);
        gathered.tables.extend(table);
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was gathered, in one statement. A second one follows where something has to be looked at again: of
/// crowded tables journals drop their oldest rows, others refuse the request when they are full, and rules must hold.
/// Tells whether it did.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`; the refusal of a rule.
pub async fn close(call: &Call) -> Result<bool> {
    let mut gathered = mem::take(&mut *call.closing().gathered());
    if gathered.writes.is_empty() && gathered.tables.is_empty() && gathered.rules.is_empty() {
        return Ok(false);
    }
    let rules = mem::take(&mut gathered.rules);
    let crowded = write(call, gathered, !rules.is_empty()).await?;
    let looks_again = !(crowded.is_empty() && rules.is_empty());
    if looks_again {
        settle(call, &crowded, rules).await?;
    }
    Ok(looks_again)
}

/// Tells the crowded ones of the tables that got rows. Where there are any, or `in_turn`, this waits until no other
/// request of the session is between here and its commit: the next statement sees what those have written.
async fn write(call: &Call, gathered: Gathered, in_turn: bool) -> Result<Vec<&'static str>> {
    let Gathered {
        writes,
        mut values,
        tables,
        ..
    } = gathered;
    let mut sizes: Vec<String> = tables.iter().map(|table| size(table, &writes)).collect();
    let mut parts = Vec::new();
    for (i, (sql, table)) in writes.iter().enumerate() {
        parts.push(format!("w{i} AS ({sql} RETURNING 1)"));
        if table.is_none() {
            // So that it is done before this waits.
            sizes.push(format!("('', (SELECT count(*) FROM w{i}))"));
        }
    }
    if in_turn {
        sizes.push(format!("('', {})", i64::MAX));
    }
    parts.push(format!("sizes (name, rows) AS (VALUES {})", sizes.join(", ")));
    values.push(format!("closing:{}", call.tenant().schema).into());
    let lock = format!("pg_advisory_xact_lock(hashtextextended(${}, 0))::text", values.len());
    let from = limit(call) - i64::try_from(CROWDED).unwrap_or(0);
    let all = format!("SELECT name, {lock} FROM sizes WHERE rows > {from}");
    let rows = call.rows(&format!("WITH {} {all}", parts.join(", ")), values).await?;
    let names = rows.iter().map(|row| row.try_get::<String>("", "name"));
    let names = names.collect::<Result<BTreeSet<_>, _>>()?;
    Ok(tables.into_iter().filter(|table| names.contains(*table)).collect())
}

/// How many rows a table has after the writes: a statement does not see its own.
fn size(table: &str, writes: &[(String, Option<&'static str>)]) -> String {
    let mut sum = format!("(SELECT count(*) FROM \"{table}\")");
    for (i, _) in writes.iter().enumerate().filter(|(_, (_, to))| *to == Some(table)) {
        sum.push_str(&format!(" + (SELECT count(*) FROM w{i})"));
    }
    format!("('{table}', {sum})")
}

async fn settle(call: &Call, crowded: &[&'static str], rules: Vec<(&'static str, Fault)>) -> Result<()> {
    let limit = limit(call);
    let (journals, others): (Vec<&str>, Vec<&str>) =
        crowded.iter().copied().partition(|table| modules::is_journal(table));
    let trims = journals.iter().map(|table| {
        format!(
            "trimmed_{table} AS (DELETE FROM \"{table}\" WHERE id IN \
             (SELECT id FROM \"{table}\" ORDER BY created_at DESC, id DESC OFFSET {limit}))"
        )
    });
    let trims = trims.collect::<Vec<_>>().join(", ");
    let with = if trims.is_empty() { "" } else { "WITH " };
    let room = |table: &&str| (format!("(SELECT count(*) FROM \"{table}\") <= {limit}"), full(call));
    let (mut hold, mut refusals): (Vec<String>, Vec<Fault>) = others.iter().map(room).unzip();
    for (condition, refusal) in rules {
        hold.push(condition.to_owned());
        refusals.push(refusal);
    }
    let sql = format!("{with}{trims} SELECT json_build_array({}) AS hold", hold.join(", "));
    let row = call.row(&sql, []).await?;
    let hold: Vec<bool> = match row {
        Some(row) => serde_json::from_value(row.try_get("", "hold")?).map_err(Fault::internal)?,
        None => Vec::new(),
    };
    match hold.iter().zip(refusals).find(|(holds, _)| !**holds) {
        Some((_, refusal)) => Err(refusal.into()),
        None => Ok(()),
    }
}

/// Passes when a table that had `rows` a moment ago has room for one more, and has it looked at again at the end when
/// others could fill it: for tables whose rows are counted anyway.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub fn room(call: &Call, table: &'static str, rows: u64) -> Result<(), Fault> {
    let limit = call.app().limits.rows;
    if rows >= limit {
        return Err(full(call));
    }
    if rows + 1 + CROWDED > limit {
        call.closing().watch(table);
    }
    Ok(())
}

fn full(call: &Call) -> Fault {
    let limit = call.app().limits.rows;
    let message = format!("A preview holds at most {limit} rows of a kind; delete some first.");
    Fault::new(codes::ROW_LIMIT_REACHED, message)
}

fn limit(call: &Call) -> i64 {
    i64::try_from(call.app().limits.rows).unwrap_or(i64::MAX)
}

/// A statement whose parameters come after `before` others.
fn renumbered(sql: &str, before: usize) -> String {
    let mut parts = sql.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let number: usize = part[..end].parse().unwrap_or(0);
        out.push_str(&format!("${}{}", number + before, &part[end..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through() {
        let closing = Closing::default();
        closing.write("UPDATE a SET b = $2 WHERE id = $1", [1.into(), 2.into()]);
        closing.insert("c", "INSERT INTO c VALUES ($1, $2, $10)", (1..=10).map(Into::into));
        let gathered = closing.gathered();
        assert_eq!(gathered.writes[0].0, "UPDATE a SET b = $2 WHERE id = $1");
        assert_eq!(gathered.writes[1].0, "INSERT INTO c VALUES ($3, $4, $12)");
        assert_eq!(gathered.values.len(), 12);
    }

    #[test]
    fn a_tables_size_counts_what_is_being_inserted() {
        let writes = [
            ("x".to_owned(), Some("a")),
            ("y".to_owned(), None),
            ("z".to_owned(), Some("b")),
        ];
        assert_eq!(
            size("b", &writes),
            "('b', (SELECT count(*) FROM \"b\") + (SELECT count(*) FROM w2))"
        );
    }
}
