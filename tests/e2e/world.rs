//! Whether the world matches the records.

use anyhow::Result;
use testkit::TestDatabase;
use tokio_postgres::Client;

/// Each row says what is wrong. `$1` is how the names of slot roles begin.
const WRONG: &str = "
    SELECT format('session %s is %s', id, status) FROM control.sessions WHERE status NOT IN ('READY', 'DROPPED')
    UNION ALL
    SELECT format('session %s still restarts', id) FROM control.sessions WHERE restarting_since IS NOT NULL
    UNION ALL
    SELECT format('session %s waits for its drop', id) FROM control.sessions WHERE drop_due
    UNION ALL
    SELECT format('session %s was made without a key, or twice for one', id) FROM control.sessions
    WHERE id NOT IN (SELECT session_id FROM control.idempotency_keys)
    UNION ALL
    SELECT format('READY session %s has no slot of its schema and role', session.id) FROM control.sessions AS session
    WHERE status = 'READY' AND NOT EXISTS (
        SELECT FROM provisioner.slots AS slot WHERE session_id = session.id
        AND slot.schema_name = session.schema_name AND slot.role_name = session.role_name)
    UNION ALL
    SELECT format('slot %s is claimed by nobody who lives', id) FROM provisioner.slots
    WHERE session_id IS NOT NULL AND session_id NOT IN (SELECT id FROM control.sessions WHERE status = 'READY')
    UNION ALL
    SELECT format('slot %s is still %s', id, state) FROM provisioner.slots WHERE state IN ('preparing', 'gone')
    UNION ALL
    SELECT format('slot %s lacks its schema or tables of it', id) FROM provisioner.slots
    WHERE state IN ('ready', 'claimed')
    AND (SELECT count(*) FROM pg_tables WHERE schemaname = schema_name) IS DISTINCT FROM
        (SELECT max(count) FROM (SELECT count(*) FROM pg_tables GROUP BY schemaname) AS schemas)
    UNION ALL
    SELECT format('schema %s belongs to no slot', nspname) FROM pg_namespace
    WHERE nspname ~ '^(slot|gone|preview)_' AND nspname NOT IN (
        SELECT schema_name FROM provisioner.slots WHERE schema_name IS NOT NULL)
    UNION ALL
    SELECT format('role %s belongs to no slot', rolname) FROM pg_roles
    WHERE starts_with(rolname, $1) AND rolname NOT IN (SELECT role_name FROM provisioner.slots)
    UNION ALL
    SELECT format('the steps of session %s do not follow one another: %s', session_id, string_agg(to_status, ' ' ORDER BY id))
    FROM (SELECT *, lag(to_status) OVER (PARTITION BY session_id ORDER BY id) AS before
        FROM control.session_transitions) AS step
    GROUP BY session_id HAVING bool_or(from_status IS DISTINCT FROM before)";

/// What is wrong; nothing when all is as it should be.
pub async fn wrongs(client: &Client, database: &TestDatabase) -> Result<Vec<String>> {
    let roles = format!("{}_slot_", database.name());
    let rows = client.query(WRONG, &[&roles]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Tables that hold rows in ready slots without demo data.
pub async fn unclean(client: &mut Client) -> Result<Vec<String>> {
    let transaction = client.transaction().await?;
    // Otherwise a slot may be furnished or claimed between the two queries.
    transaction
        .batch_execute("LOCK TABLE provisioner.slots IN SHARE MODE")
        .await?;
    let sql = "SELECT format('SELECT %L WHERE EXISTS (SELECT FROM %I.%I)', schemaname || '.' || tablename, schemaname,
                   tablename)
               FROM pg_tables JOIN provisioner.slots ON schemaname = schema_name WHERE state = 'ready' AND furnished_at IS NULL";
    let probes: Vec<String> = transaction
        .query(sql, &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let found = transaction.query(&probes.join(" UNION ALL "), &[]).await?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}

/// All that was recorded of sessions: steps as `from>to`, and kinds of changes.
pub async fn history(client: &Client) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT coalesce(from_status, '') || '>' || to_status FROM control.session_transitions
               UNION SELECT DISTINCT kind FROM control.session_changes ORDER BY 1";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}
