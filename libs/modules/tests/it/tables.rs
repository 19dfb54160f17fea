//! The tables in PostgreSQL are those of the contract, with nothing missing and nothing besides.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use modules::{MODULES, table_names};
use serde_json::Value;
use testkit::contract::{Field, Resource, snake};

use crate::contracts;
use crate::slot::Slot;

#[tokio::test]
async fn every_table_has_the_contracts_columns() -> Result<()> {
    let slot = Slot::prepared().await?;
    for (table, resource) in tables()? {
        let found = slot
            .texts(&format!(
                "SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END, \
                 'DEFAULT ' || pg_get_expr(adbin, adrelid)) \
                 FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
                 WHERE attrelid = '{table}'::regclass AND attnum > 0"
            ))
            .await?;
        assert_eq!(sorted(found), sorted(columns(&resource)), "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn every_table_has_the_contracts_keys_and_no_other_index() -> Result<()> {
    let slot = Slot::prepared().await?;
    for (table, resource) in tables()? {
        let indexes = slot
            .texts(&format!(
                "SELECT concat_ws(' ', CASE WHEN indisunique THEN 'unique' ELSE 'plain' END, \
                     (SELECT string_agg(attname, ',' ORDER BY place) FROM unnest(indkey) WITH ORDINALITY AS k (num, place) \
                      JOIN pg_attribute ON attrelid = indrelid AND attnum = num), \
                     pg_get_expr(indpred, indrelid)) \
                 FROM pg_index WHERE indrelid = '{table}'::regclass AND NOT indisprimary"
            ))
            .await?;
        let mut expected = Vec::new();
        expected.extend(resource.indexes.iter().map(|index| format!("plain {}", joined(index))));
        expected.extend(
            resource
                .fields
                .iter()
                .filter(|f| f.unique)
                .map(|f| format!("unique {}", snake(&f.name))),
        );
        for unique in &resource.unique {
            let condition = match &unique.condition {
                None => String::new(),
                Some(sql) => format!(" {}", normalised(&slot, &table, sql).await?),
            };
            expected.push(format!("unique {}{condition}", joined(&unique.columns)));
        }
        assert_eq!(sorted(indexes), sorted(expected), "{table}");
        assert_eq!(slot.one::<String>(&format!(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'p'"
        )).await?, "PRIMARY KEY (id)");
    }
    Ok(())
}

#[tokio::test]
async fn every_reference_leads_where_the_contract_says() -> Result<()> {
    let slot = Slot::prepared().await?;
    for (table, resource) in tables()? {
        let found = slot
            .texts(&format!(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
                 WHERE conrelid = '{table}'::regclass AND contype = 'f'"
            ))
            .await?;
        let expected = resource.fields.iter().filter_map(|field| {
            let action = field.on_delete.as_ref()?.replace('_', " ").to_uppercase();
            Some(format!(
                "FOREIGN KEY ({}) REFERENCES {}(id) ON DELETE {action}",
                snake(&field.name),
                field.target.as_ref()?
            ))
        });
        assert_eq!(sorted(found), sorted(expected.collect()), "{table}");
        assert!(
            resource
                .fields
                .iter()
                .all(|f| (f.kind == "ref") == f.on_delete.is_some()),
            "{table}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_table_has_the_contracts_checks() -> Result<()> {
    let slot = Slot::prepared().await?;
    for (table, resource) in tables()? {
        let found = slot
            .texts(&format!(
                "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint \
                 WHERE conrelid = '{table}'::regclass AND contype = 'c'"
            ))
            .await?;
        let mut expected = Vec::new();
        for field in resource.fields.iter().filter(|f| f.kind == "enum") {
            let values: Vec<_> = field.values.iter().map(|value| format!("'{value}'")).collect();
            let check = format!("{} IN ({})", snake(&field.name), values.join(", "));
            expected.push(normalised(&slot, &table, &check).await?);
        }
        for check in &resource.checks {
            expected.push(normalised(&slot, &table, check).await?);
        }
        assert_eq!(sorted(found), sorted(expected), "{table}");
    }
    Ok(())
}

/// Errors of the database are told to visitors by field, so a constraint's name must lead to one.
#[tokio::test]
async fn constraint_names_lead_back_to_columns() -> Result<()> {
    let slot = Slot::prepared().await?;
    for table in table_names() {
        let columns: BTreeSet<_> = slot
            .texts(&format!(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
            ))
            .await?
            .into_iter()
            .collect();
        let names = slot
            .texts(&format!(
                "SELECT conname::text FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('c', 'f') \
                 UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{table}'::regclass AND indisunique \
                 AND NOT indisprimary"
            ))
            .await?;
        for name in names {
            let middle = name.strip_prefix(&format!("{table}_")).with_context(|| name.clone())?;
            let (column, suffix) = middle.rsplit_once('_').with_context(|| name.clone())?;
            match suffix {
                "fkey" | "check" => assert!(columns.contains(column), "{name}"),
                "key" => assert!(spells(column, &columns), "{name}"),
                _ => panic!("{name} has an unexpected ending"),
            }
            assert!(name.len() < 63, "{name} may have been cut");
        }
    }
    Ok(())
}

/// All tables of the contract with what it says about them, in the order of our list of modules.
fn tables() -> Result<Vec<(String, Resource)>> {
    let mut tables = Vec::new();
    for (module, contract) in MODULES.iter().zip(contracts()?) {
        let own: Vec<_> = contract
            .resources
            .into_iter()
            .filter_map(|r| Some((r.table.clone()?, r)))
            .collect();
        let names: BTreeSet<_> = own.iter().map(|(table, _)| table.as_str()).collect();
        assert_eq!(names, module.table_names().collect(), "{}", module.id);
        tables.extend(own);
    }
    assert_eq!(tables.len(), 85);
    Ok(tables)
}

fn columns(resource: &Resource) -> Vec<String> {
    let mut columns = vec!["id uuid NOT NULL".to_owned()];
    columns.extend(resource.fields.iter().map(column));
    if resource.versioned {
        columns.push("version integer NOT NULL DEFAULT 1".to_owned());
    }
    for name in ["created_at", "updated_at"] {
        columns.push(format!("{name} timestamp(3) with time zone NOT NULL DEFAULT now()"));
    }
    columns
}

fn column(field: &Field) -> String {
    let kind = match field.kind.as_str() {
        "text" | "markdown" | "slug" | "email" | "enum" | "currency" | "color" => "text".to_owned(),
        "int" => "integer".to_owned(),
        "money" => "numeric(12,2)".to_owned(),
        "decimal" => format!("numeric(12,{})", field.scale.unwrap_or_default()),
        "bool" => "boolean".to_owned(),
        "timestamp" => "timestamp(3) with time zone".to_owned(),
        "time" => "time(0) without time zone".to_owned(),
        "ref" | "uuid" => "uuid".to_owned(),
        "json" => "jsonb".to_owned(),
        "bytes" => "bytea".to_owned(),
        other => other.to_owned(),
    };
    let mut column = format!("{} {kind}", snake(&field.name));
    if field.required || field.filled || field.default.is_some() || field.kind == "slug" {
        column.push_str(" NOT NULL");
    }
    match (&field.default, field.kind.as_str()) {
        (None, _) => {}
        (Some(Value::String(number)), "money" | "decimal") => column.push_str(&format!(" DEFAULT {number}")),
        (Some(Value::String(text)), _) => column.push_str(&format!(" DEFAULT '{text}'::text")),
        (Some(json @ Value::Array(_)), _) => column.push_str(&format!(" DEFAULT '{json}'::jsonb")),
        (Some(plain), _) => column.push_str(&format!(" DEFAULT {plain}")),
    }
    column
}

/// The condition as PostgreSQL writes it for this table.
async fn normalised(slot: &Slot, table: &str, condition: &str) -> Result<String> {
    slot.client
        .batch_execute(&format!(
            "CREATE TEMP TABLE probe (LIKE {table}); ALTER TABLE probe ADD CONSTRAINT probe CHECK ({condition})"
        ))
        .await
        .with_context(|| format!("{table}: {condition}"))?;
    let text = slot
        .one("SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'probe'")
        .await?;
    slot.client.batch_execute("DROP TABLE probe").await?;
    Ok(text)
}

/// Whether the text is made of these columns, joined by underscores.
fn spells(text: &str, columns: &BTreeSet<String>) -> bool {
    columns.contains(text)
        || columns.iter().any(|column| {
            text.strip_prefix(column.as_str())
                .and_then(|rest| rest.strip_prefix('_'))
                .is_some_and(|rest| spells(rest, columns))
        })
}

fn joined(columns: &[String]) -> String {
    columns.iter().map(|column| snake(column)).collect::<Vec<_>>().join(",")
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
