//! The tables of a slot: one script, their names, and a fingerprint to tell old slots by.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::{MODULES, Module, SEED_FUNCTIONS};

/// `$role` stands for the slot's role.
const IDENTITY: &str = "CREATE VIEW slot_identity AS SELECT '$role'::text AS role";

static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    MODULES
        .iter()
        .map(|module| module.tables)
        .collect::<Vec<_>>()
        .join("\n")
});

static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| MODULES.iter().flat_map(|module| module.table_names()).collect());

static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let seeds = MODULES.iter().flat_map(|module| [module.id, module.seed]);
    let scripts = [SCRIPT.as_str(), IDENTITY, SEED_FUNCTIONS].into_iter().chain(seeds);
    scripts
        .fold(Sha256::new(), Sha256::chain_update)
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
});

/// The DDL of all modules with unqualified names: run it under the slot's `search_path`.
pub fn tables_sql() -> &'static str {
    &SCRIPT
}

/// What lets a request find out whose slot it reads: a view `slot_identity` with the name of the role that the slot
/// belongs to. Run it under the slot's `search_path`. A view, since it must not be writable and is no table of any module.
pub fn identity_sql(role: &str) -> String {
    IDENTITY.replace("$role", role)
}

/// All tables of a slot in the order of creation. References lead to earlier tables, `uploads` to
/// `users` excepted (set to null on delete), so the reverse order empties a slot row by row.
pub fn table_names() -> &'static [&'static str] {
    &NAMES
}

/// SHA-256 in lower-case hex of [`tables_sql`] and all demo data, which a slot may hold before it is given out. A slot
/// made from others has another one.
pub fn fingerprint() -> &'static str {
    &FINGERPRINT
}

/// Whether the table drops its oldest rows at the row limit instead of refusing new ones.
pub fn is_journal(table: &str) -> bool {
    MODULES.iter().any(|module| module.journals.contains(&table))
}

impl Module {
    /// The module's tables in the order of creation.
    pub fn table_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.tables
            .lines()
            .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.strip_suffix(" ("))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_eighty_five_tables_named_after_their_modules() {
        assert_eq!(table_names().len(), 85);
        for module in MODULES.iter().skip(1) {
            let prefix = format!("{}_", module.id);
            assert!(
                module.table_names().all(|table| table.starts_with(&prefix)),
                "{}",
                module.id
            );
        }
    }

    #[test]
    fn journals_are_tables() {
        let journals: Vec<_> = MODULES.iter().flat_map(|module| module.journals).collect();
        assert!(
            journals.iter().all(|table| table_names().contains(table)),
            "{journals:?}"
        );
        assert!(is_journal("audit_logs") && !is_journal("users"));
    }

    #[test]
    fn the_fingerprint_is_a_sha256_in_hex() {
        assert_eq!(fingerprint().len(), 64);
        assert!(
            fingerprint()
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
    }
}
