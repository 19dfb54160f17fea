//! Demo data of a fresh session: the contract's counts, rows and rules.

use std::collections::BTreeMap;

use anyhow::Result;
use argon2::{Argon2, PasswordVerifier};
use modules::{CORE, Module, module, table_names};
use testkit::contract::{Contract, snake};
use uuid::Uuid;

use crate::claims::{ALWAYS, FRESH, SHOP};
use crate::slot::Slot;

pub fn shop() -> &'static Module {
    module("ecommerce").expect("the shop is a module")
}

#[tokio::test]
async fn core_alone_has_exactly_the_contracts_rows() -> Result<()> {
    has_the_contracts_rows(&Slot::seeded(&[]).await?, &["core"]).await
}

#[tokio::test]
async fn core_and_the_shop_together_have_exactly_the_contracts_rows() -> Result<()> {
    let slot = Slot::seeded(&[shop()]).await?;
    has_the_contracts_rows(&slot, &["core", "ecommerce"]).await?;
    assert_eq!(slot.count("number_sequences").await?, 1);
    Ok(())
}

async fn has_the_contracts_rows(slot: &Slot, modules: &[&str]) -> Result<()> {
    let mut expected = BTreeMap::new();
    for module in modules {
        let contract = Contract::read(module)?;
        for (table, count) in contract.seed.counts {
            *expected.entry(table).or_insert(0) += count;
        }
        for row in contract.seed.fixed {
            let wanted = row.values.iter().map(|(field, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{}::text = '{}'", snake(field), text.replace('\'', "''"))
            });
            let wanted = wanted.collect::<Vec<_>>().join(" AND ");
            assert_eq!(
                slot.count(&format!("{} WHERE {wanted}", row.table)).await?,
                1,
                "{}: {wanted}",
                row.table
            );
        }
    }
    // The contract counts it by a rule: one row for each sequence in use.
    for table in table_names().iter().filter(|table| **table != "number_sequences") {
        let count = expected.get(*table).copied().unwrap_or(0);
        assert_eq!(slot.count(table).await?, count, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn every_rule_of_the_contract_holds() -> Result<()> {
    let slot = Slot::seeded(&[shop()]).await?;
    hold(&slot, ALWAYS).await?;
    hold(&slot, SHOP).await?;
    for (claim, question, answer) in FRESH {
        let given: String = slot.one(&format!("SELECT ({question})::text")).await?;
        assert_eq!(given, *answer, "{claim}");
    }
    Ok(())
}

#[tokio::test]
async fn the_rules_of_core_hold_without_the_shop() -> Result<()> {
    let slot = Slot::seeded(&[]).await?;
    hold(&slot, ALWAYS).await?;
    assert_eq!(slot.count("number_sequences").await?, 0);
    Ok(())
}

pub async fn hold(slot: &Slot, claims: &[(&str, &str)]) -> Result<()> {
    for (claim, broken_by) in claims {
        let broken = slot.count(&format!("(SELECT 1 FROM {broken_by}) AS broken")).await?;
        assert_eq!(broken, 0, "{claim}");
    }
    Ok(())
}

#[tokio::test]
async fn no_instant_lies_in_the_future_and_nothing_changed_before_it_was_made() -> Result<()> {
    let slot = Slot::seeded(&[shop()]).await?;
    let instants = slot
        .texts(
            "SELECT attrelid::regclass || ' WHERE ' || attname || ' > now()' FROM pg_attribute \
             WHERE attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'slot'::regnamespace) \
             AND atttypid = 'timestamptz'::regtype",
        )
        .await?;
    assert!(instants.len() > 2 * table_names().len());
    for rows in instants {
        assert_eq!(slot.count(&rows).await?, 0, "{rows}");
    }
    for table in table_names() {
        assert_eq!(
            slot.count(&format!("{table} WHERE updated_at < created_at")).await?,
            0,
            "{table}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_password_opens_every_account() -> Result<()> {
    let slot = Slot::seeded(&[]).await?;
    let hashes = slot.texts("SELECT DISTINCT password_hash FROM users").await?;
    let [hash] = &hashes[..] else {
        panic!("one hash for all: {hashes:?}")
    };
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    Argon2::default().verify_password(b"Preview123!", hash.as_str())?;
    assert!(Argon2::default().verify_password(b"Preview123", hash.as_str()).is_err());
    Ok(())
}

#[tokio::test]
async fn ids_are_the_same_for_one_session_and_different_for_another() -> Result<()> {
    let slot = Slot::prepared().await?;
    let (ours, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    for (schema, session) in [("first", ours), ("again", ours), ("other", theirs)] {
        slot.enter(schema).await?;
        slot.seed(session, &[CORE, shop()]).await?;
        ids.push(all_ids(&slot).await?);
        keys.extend(slot.texts("SELECT content_key FROM uploads").await?);
    }
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].iter().all(|id| !ids[2].contains(id)));
    for id in ids.iter().flatten() {
        assert_eq!(Uuid::parse_str(id)?.get_version_num(), 7, "{id}");
    }
    let uploads = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), uploads, "a content key came twice");
    Ok(())
}

async fn all_ids(slot: &Slot) -> Result<Vec<String>> {
    let tables: Vec<_> = table_names()
        .iter()
        .map(|table| format!("SELECT id FROM {table}"))
        .collect();
    slot.texts(&format!(
        "SELECT id::text FROM ({}) AS ids ORDER BY id",
        tables.join(" UNION ALL ")
    ))
    .await
}

#[tokio::test]
async fn the_reverse_order_of_creation_empties_a_slot() -> Result<()> {
    let slot = Slot::seeded(&[shop()]).await?;
    for table in table_names().iter().rev() {
        slot.client.batch_execute(&format!("DELETE FROM {table}")).await?;
    }
    for table in table_names() {
        assert_eq!(slot.count(table).await?, 0, "{table}");
    }
    Ok(())
}
