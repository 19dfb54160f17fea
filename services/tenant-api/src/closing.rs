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
    rules: Vec<(String, Fault)>,
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

    /// A condition that must hold at the end. It sees what was written at once, and nothing that is gathered; whoever
    /// could break it meanwhile must be kept waiting by a lock.
    pub fn require(&self, condition: &str, values: impl IntoIterator<Item = Value>, refusal: Fault) {
        let mut gathered = self.gathered();
        let condition = renumbered(condition, gathered.values.len());
        gathered.rules.push((condition, refusal));
        gathered.values.extend(values);
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

/// Writes what was gathered, in one statement. Where a table is crowded, two more settle what becomes of it. Tells
/// whether they did.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`; the refusal of a rule.
pub async fn close(call: &Call) -> Result<bool> {
    let gathered = mem::take(&mut *call.closing().gathered());
    if gathered.writes.is_empty() && gathered.tables.is_empty() && gathered.rules.is_empty() {
        return Ok(false);
    }
    let crowded = write(call, gathered).await?;
    if crowded.is_empty() {
        return Ok(false);
    }
    settle(call, &crowded).await?;
    Ok(true)
}

/// Tells the crowded ones of the tables that got rows.
async fn write(call: &Call, gathered: Gathered) -> Result<Vec<&'static str>> {
    let Gathered {
        writes,
        values,
        tables,
        rules,
    } = gathered;
    let mut parts = Vec::new();
    for (i, (sql, table)) in writes.iter().enumerate() {
        let returning = if table.is_some() { " RETURNING 1" } else { "" };
        parts.push(format!("w{i} AS ({sql}{returning})"));
    }
    let from = limit(call) - i64::try_from(CROWDED).unwrap_or(0);
    let crowded = |table: &&str| format!("SELECT '{table}' AS found WHERE {} > {from}", size(table, &writes));
    let broken =
        |(i, (condition, _)): (usize, &(String, Fault))| format!("SELECT '{i}' AS found WHERE NOT {condition}");
    let mut found: Vec<String> = tables.iter().map(crowded).collect();
    found.extend(rules.iter().enumerate().map(broken));
    if found.is_empty() {
        found.push("SELECT NULL AS found WHERE false".to_owned());
    }
    let with = if parts.is_empty() { "" } else { "WITH " };
    let sql = format!("{with}{} {}", parts.join(", "), found.join(" UNION ALL "));
    let rows = call.rows(&sql, values).await?;
    let found = rows.iter().map(|row| row.try_get::<String>("", "found"));
    let found = found.collect::<Result<BTreeSet<_>, _>>()?;
    for (i, (_, refusal)) in rules.into_iter().enumerate() {
        if found.contains(&i.to_string()) {
            return Err(refusal.into());
        }
    }
    Ok(tables.into_iter().filter(|table| found.contains(*table)).collect())
}

/// How many rows a table has after the writes: a statement does not see its own.
fn size(table: &str, writes: &[(String, Option<&'static str>)]) -> String {
    let mut sum = format!("(SELECT count(*) FROM \"{table}\")");
    for (i, _) in writes.iter().enumerate().filter(|(_, (_, to))| *to == Some(table)) {
        sum.push_str(&format!(" + (SELECT count(*) FROM w{i})"));
    }
    sum
}

/// Journals drop their oldest rows, other tables refuse the request when they are full. Requests do this one after
/// another: the lock comes after the writes, whose references may wait for others, and before the statement that counts,
/// which sees what everybody before has committed.
async fn settle(call: &Call, crowded: &[&'static str]) -> Result<()> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    call.run(lock, [format!("rows:{}", call.tenant().schema).into()])
        .await?;
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
    let is_full = |table: &str| format!("(SELECT count(*) FROM \"{table}\") > {limit}");
    let mut is_any_full = others.into_iter().map(is_full).collect::<Vec<_>>().join(" OR ");
    if is_any_full.is_empty() {
        is_any_full.push_str("false");
    }
    match call
        .row(&format!("{with}{trims} SELECT 1 WHERE {is_any_full}"), [])
        .await?
    {
        Some(_) => Err(full(call).into()),
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
            "(SELECT count(*) FROM \"b\") + (SELECT count(*) FROM w2)"
        );
    }
}
