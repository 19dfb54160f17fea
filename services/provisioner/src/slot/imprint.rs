//! The imprint of a schema: a hash over everything the catalogues say about it. A slot whose imprint has changed since
//! it was made is not the slot that was made, and is not given out again.

use deadpool_postgres::ClientWrapper;
use domain::{RoleName, SchemaName};

use crate::error::Error;

/// Names stand for ids, and `$role` for the slot's role, so that all slots of one DDL have one imprint. The last part
/// counts whatever depends on the schema itself: functions, types, operators and all other kinds of objects.
const IMPRINT: &str = r#"
WITH schema AS (
    SELECT oid, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = $1
), class AS (
    SELECT c.* FROM pg_catalog.pg_class c JOIN schema ON c.relnamespace = schema.oid
), line AS (
    SELECT concat_ws(' ', 'schema', nspowner, replace(nspacl::text, $2, '$role')) AS text FROM schema
    UNION ALL
    SELECT concat_ws(' ', 'class', relname, relkind, relowner, relpersistence, relrowsecurity, relhasrules, relispartition,
        reloptions, replace(relacl::text, $2, '$role'))
    FROM class
    UNION ALL
    SELECT concat_ws(' ', 'column', relname, attnum, attname, atttypid, atttypmod, attnotnull, attidentity, attgenerated,
        attisdropped, attacl)
    FROM pg_catalog.pg_attribute JOIN class ON attrelid = class.oid WHERE attnum > 0 AND relkind <> 'i'
    UNION ALL
    SELECT concat_ws(' ', 'default', relname, adnum, pg_get_expr(adbin, adrelid))
    FROM pg_catalog.pg_attrdef JOIN class ON adrelid = class.oid
    UNION ALL
    SELECT concat_ws(' ', 'index', relname, indkey, indisunique, indisprimary, indisvalid, indclass,
        pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid))
    FROM pg_catalog.pg_index JOIN class ON indexrelid = class.oid
    UNION ALL
    SELECT concat_ws(' ', 'constraint', class.relname, conname, contype, conkey, target.relname, confkey, confupdtype,
        confdeltype, convalidated, condeferrable, pg_get_expr(conbin, conrelid))
    FROM pg_catalog.pg_constraint
    JOIN class ON conrelid = class.oid LEFT JOIN pg_catalog.pg_class target ON confrelid = target.oid
    UNION ALL
    SELECT concat_ws(' ', 'trigger', relname, tgfoid, tgtype, tgenabled, tgisinternal, count(*))
    FROM pg_catalog.pg_trigger JOIN class ON tgrelid = class.oid GROUP BY relname, tgfoid, tgtype, tgenabled, tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'policy', relname, polname) FROM pg_catalog.pg_policy JOIN class ON polrelid = class.oid
    UNION ALL
    SELECT concat_ws(' ', 'inside', classid, deptype, count(*))
    FROM pg_catalog.pg_depend JOIN schema ON refobjid = schema.oid
    WHERE refclassid = 'pg_catalog.pg_namespace'::regclass GROUP BY classid, deptype
)
SELECT encode(sha256(convert_to(string_agg(text, E'\n' ORDER BY text COLLATE "C"), 'UTF8')), 'hex') FROM line
"#;

/// The imprint of a schema that `role` may use; `None` when there is no such schema.
pub async fn of(client: &ClientWrapper, schema: &SchemaName, role: &RoleName) -> Result<Option<String>, Error> {
    let statement = client.prepare_cached(IMPRINT).await?;
    let row = client
        .query_one(&statement, &[&schema.as_str(), &role.as_str()])
        .await?;
    Ok(row.get(0))
}
