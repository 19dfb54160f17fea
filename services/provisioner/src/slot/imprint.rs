//! The imprint of a schema: a hash over what the catalogues say about it. A slot whose imprint has changed since
//! it was made is not the slot that was made, and is not given out again.

use deadpool_postgres::ClientWrapper;
use domain::{RoleName, SchemaName};

use crate::error::Error;

/// Whatever is changed in a catalogue gets another `xmin`, so most lines need not say what the row says: this takes a
/// third of the time of their texts. Renaming the schema and VACUUM FULL of a table rewrite what is spelt out here.
/// `$role` stands for the slot's role. `content` is whatever depends on the schema itself: tables, functions, types,
/// operators and all other kinds of objects. Everything is found through indexes (`pg_class` has none by schema), so
/// that the cost does not grow with the number of slots.
const IMPRINT: &str = r"
WITH schema AS MATERIALIZED (
    SELECT oid, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = $1
), content AS MATERIALIZED (
    SELECT classid, objid, xmin FROM pg_catalog.pg_depend
    WHERE refclassid = 'pg_catalog.pg_namespace'::regclass AND refobjid = (SELECT oid FROM schema)
), relation AS MATERIALIZED (
    SELECT c.* FROM content JOIN pg_catalog.pg_class c ON c.oid = objid
    WHERE classid = 'pg_catalog.pg_class'::regclass
), line AS (
    SELECT hashtextextended(concat_ws(' ', nspowner, replace(nspacl::text, $2, '$role')), 0) AS hash FROM schema
    UNION ALL
    SELECT hashtextextended(concat_ws(' ', relname, relkind, relowner, relpersistence, relrowsecurity, relhasrules,
        relispartition, reloptions, replace(relacl::text, $2, '$role')), 0)
    FROM relation
    UNION ALL
    SELECT hash_record_extended(row(classid, objid, xmin), 0) FROM content
    UNION ALL
    SELECT hash_record_extended(row(attrelid, attnum, a.xmin), 0)
    FROM relation JOIN pg_catalog.pg_attribute a ON attrelid = relation.oid WHERE attnum > 0
    UNION ALL
    SELECT hash_record_extended(row(1, d.oid, d.xmin), 0)
    FROM relation JOIN pg_catalog.pg_attrdef d ON adrelid = relation.oid
    UNION ALL
    SELECT hash_record_extended(row(2, indexrelid, i.xmin), 0)
    FROM relation JOIN pg_catalog.pg_index i ON indrelid = relation.oid
    UNION ALL
    SELECT hash_record_extended(row(3, c.oid, c.xmin), 0)
    FROM relation JOIN pg_catalog.pg_constraint c ON conrelid = relation.oid
    UNION ALL
    SELECT hash_record_extended(row(4, t.oid, t.xmin), 0)
    FROM relation JOIN pg_catalog.pg_trigger t ON tgrelid = relation.oid
    UNION ALL
    SELECT hash_record_extended(row(5, p.oid, p.xmin), 0)
    FROM relation JOIN pg_catalog.pg_policy p ON polrelid = relation.oid
)
SELECT count(*) || '-' || coalesce(sum(hash::numeric), 0) FROM line
";

/// The imprint of a schema that `role` may use; `None` when there is no such schema.
pub async fn of(client: &ClientWrapper, schema: &SchemaName, role: &RoleName) -> Result<Option<String>, Error> {
    let statement = client.prepare_cached(IMPRINT).await?;
    let row = client
        .query_one(&statement, &[&schema.as_str(), &role.as_str()])
        .await?;
    Ok(row.get(0))
}
