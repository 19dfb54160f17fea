//! The imprint of a schema: a hash over what the catalogues say about it. A slot whose imprint has changed since
//! it was made is not the slot that was made, and is not given out again.

use deadpool_postgres::ClientWrapper;
use domain::{RoleName, SchemaName};

use crate::error::Error;

/// `$role` stands for the slot's role, so that all slots of one DDL have one imprint. The second line counts whatever
/// depends on the schema itself: functions, types, operators and all other kinds of objects. Everything is found
/// through indexes (`pg_class` has none by schema), so that the cost does not grow with the number of slots.
const IMPRINT: &str = r"
WITH schema AS MATERIALIZED (
    SELECT oid, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = $1
), content AS MATERIALIZED (
    SELECT classid, objid, deptype FROM pg_catalog.pg_depend
    WHERE refclassid = 'pg_catalog.pg_namespace'::regclass AND refobjid = (SELECT oid FROM schema)
), relation AS MATERIALIZED (
    SELECT c.* FROM content JOIN pg_catalog.pg_class c ON c.oid = objid
    WHERE classid = 'pg_catalog.pg_class'::regclass
), line AS (
    SELECT concat_ws(' ', 'schema', nspowner, replace(nspacl::text, $2, '$role')) AS text FROM schema
    UNION ALL
    SELECT concat_ws(' ', 'content', classid, deptype, count(*)) FROM content GROUP BY classid, deptype
    UNION ALL
    SELECT concat_ws(' ', 'relation', relname, relkind, relowner, relpersistence, relrowsecurity, relhasrules,
        relispartition, reloptions, replace(relacl::text, $2, '$role'))
    FROM relation
    UNION ALL
    SELECT concat_ws(' ', 'column', relname, attnum, attname, atttypid, atttypmod, attnotnull, attidentity, attgenerated,
        attisdropped, attacl)
    FROM relation JOIN pg_catalog.pg_attribute ON attrelid = relation.oid WHERE attnum > 0
    UNION ALL
    SELECT concat_ws(' ', 'default', relname, adnum, pg_get_expr(adbin, adrelid))
    FROM relation JOIN pg_catalog.pg_attrdef ON adrelid = relation.oid
    UNION ALL
    SELECT concat_ws(' ', 'index', relation.relname, i.relname, indkey, indisunique, indisprimary, indisvalid, indclass,
        indoption, pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid))
    FROM relation JOIN pg_catalog.pg_index ON indrelid = relation.oid JOIN pg_catalog.pg_class i ON i.oid = indexrelid
    UNION ALL
    SELECT concat_ws(' ', 'constraint', relation.relname, conname, contype, conkey, target.relname, confkey, confupdtype,
        confdeltype, convalidated, condeferrable, pg_get_expr(conbin, conrelid))
    FROM relation
    JOIN pg_catalog.pg_constraint ON conrelid = relation.oid
    LEFT JOIN pg_catalog.pg_class target ON target.oid = confrelid
    UNION ALL
    SELECT concat_ws(' ', 'trigger', relname, tgfoid, tgtype, tgenabled, tgisinternal)
    FROM relation JOIN pg_catalog.pg_trigger ON tgrelid = relation.oid
    UNION ALL
    SELECT concat_ws(' ', 'policy', relname, polname)
    FROM relation JOIN pg_catalog.pg_policy ON polrelid = relation.oid
)
SELECT count(*) || '-' || coalesce(sum(hashtextextended(text, 0)::numeric), 0) FROM line
";

/// The imprint of a schema that `role` may use; `None` when there is no such schema.
pub async fn of(client: &ClientWrapper, schema: &SchemaName, role: &RoleName) -> Result<Option<String>, Error> {
    let statement = client.prepare_cached(IMPRINT).await?;
    let row = client
        .query_one(&statement, &[&schema.as_str(), &role.as_str()])
        .await?;
    Ok(row.get(0))
}
