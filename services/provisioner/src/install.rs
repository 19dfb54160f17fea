//! `provisioner install`: prepares a database for Live Preview. Run once by a superuser; running it again repairs.
//!
//! All roles carry the database's name, so that two installations in one cluster never share one.

use anyhow::{Context, bail};
use domain::RoleName;
use postgres_protocol::password::scram_sha_256;
use service::config::{Reader, Secret};
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::lock;

/// Room for `_slot_` and a number behind the database's name.
const LONGEST_NAME: usize = 48;

/// Lets the provisioner leave out the checks of foreign keys until its transaction ends. It fills new slots with rows
/// that are known to fit, and empties ended ones whole: the checks are a third of the one and nine tenths of the other.
const WITHOUT_CHECKS: &str = "
    CREATE OR REPLACE FUNCTION provisioner.without_checks() RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS $$ SELECT pg_catalog.set_config('session_replication_role', 'replica', true) $$;";

/// What installing needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database, as superuser.
    pub url: Secret,
    /// The password of `<database>_orchestrator`; none: keep it.
    pub orchestrator: Option<Secret>,
    /// The password of `<database>_provisioner`; none: keep it.
    pub provisioner: Option<Secret>,
    /// The password of `<database>_tenant`; none: keep it.
    pub tenant: Option<Secret>,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let mut password = |name, help| reader.optional_secret(name, help);
        Self {
            orchestrator: password(
                "ORCHESTRATOR_DB_PASSWORD",
                "Password of the login <database>_orchestrator. Left out: it stays as it is.",
            ),
            provisioner: password(
                "PROVISIONER_DB_PASSWORD",
                "Password of the login <database>_provisioner. Left out: it stays as it is.",
            ),
            tenant: password(
                "TENANT_DB_PASSWORD",
                "Password of the login <database>_tenant. Left out: it stays as it is.",
            ),
            url: reader.database(
                "ADMIN_DATABASE_URL",
                None,
                "The database to prepare, with a superuser's login.",
            ),
        }
    }
}

/// Makes logins, schemas and rights in one transaction.
///
/// # Errors
/// In one sentence: what is missing.
pub async fn install(config: &Config) -> anyhow::Result<String> {
    let mut client = connect(&config.url).await?;
    let names = Names::of(&client).await?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(&lock::for_transaction(lock::INSTALL)).await?;
    let client = transaction.client();
    for (login, password) in [
        (&names.orchestrator, &config.orchestrator),
        (&names.provisioner, &config.provisioner),
        (&names.tenant, &config.tenant),
    ] {
        make_login(client, login, password.as_ref()).await?;
    }
    transaction
        .batch_execute(&names.rights())
        .await
        .context("the rights cannot be set")?;
    transaction.commit().await?;
    Ok(names.database)
}

async fn connect(url: &Secret) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url.reveal(), NoTls).await.map_err(|error| {
        let said = error
            .as_db_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned());
        anyhow::anyhow!("ADMIN_DATABASE_URL: PostgreSQL cannot be used there: {said}")
    })?;
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the client; a command has no tracker"
    )]
    tokio::spawn(connection);
    Ok(client)
}

/// Creates or repairs a login. The server only sees the SCRAM verifier, so no log of statements can hold a password.
async fn make_login(client: &Client, login: &RoleName, password: Option<&Secret>) -> anyhow::Result<()> {
    let exists = client
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&login.as_str()])
        .await?
        .is_some();
    let mut statement = format!(
        "{} ROLE {} LOGIN",
        if exists { "ALTER" } else { "CREATE" },
        login.quoted()
    );
    match password {
        Some(password) => {
            let verifier = scram_sha_256(password.reveal().as_bytes());
            statement.push_str(&format!(" PASSWORD '{verifier}'"));
        }
        None if exists => {}
        None => {
            bail!("the login {login} does not exist yet: its password must be given, see `provisioner install --help`")
        }
    }
    client
        .batch_execute(&statement)
        .await
        .map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                anyhow::anyhow!("the login {login} cannot be changed by this user")
            }
            _ => anyhow::Error::from(error).context(format!("the login {login} cannot be made")),
        })
}

struct Names {
    database: String,
    orchestrator: RoleName,
    provisioner: RoleName,
    tenant: RoleName,
}

impl Names {
    async fn of(client: &Client) -> anyhow::Result<Self> {
        let row = client
            .query_one(
                "SELECT current_database()::text, current_user::text, rolsuper, current_setting('server_version_num')::int
                 FROM pg_roles WHERE rolname = current_user",
                &[],
            )
            .await?;
        let (database, user): (String, String) = (row.get(0), row.get(1));
        if !row.get::<_, bool>(2) {
            bail!(
                "ADMIN_DATABASE_URL: {user} is no superuser, and revoking set_config from PUBLIC takes one: \
                 use a superuser's login"
            );
        }
        let version: i32 = row.get(3);
        if version < 150_000 {
            bail!("PostgreSQL 15 or later is needed, this server is {}", version / 10_000);
        }
        if database.len() > LONGEST_NAME || RoleName::parse(&database).is_err() {
            bail!(
                "the database {database:?} cannot name roles: its name must have up to {LONGEST_NAME} of the \
                 characters a-z, 0-9 and _"
            );
        }
        let role = |part| RoleName::parse(&format!("{database}_{part}"));
        Ok(Self {
            orchestrator: role("orchestrator")?,
            provisioner: role("provisioner")?,
            tenant: role("tenant")?,
            database,
        })
    }

    fn rights(&self) -> String {
        let Self { database, .. } = self;
        let (orchestrator, provisioner, tenant) = (
            self.orchestrator.quoted(),
            self.provisioner.quoted(),
            self.tenant.quoted(),
        );
        // Functions that leave something behind or reach around the role of a transaction. An injected
        // `SELECT set_config('role', …)` would walk to another slot; large objects would outlive the session.
        let functions = "pg_catalog.set_config(text, text, boolean), pg_catalog.lo_creat(integer), \
                         pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea)";
        format!(
            "ALTER ROLE {orchestrator} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
             ALTER ROLE {provisioner} NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS;
             ALTER ROLE {tenant} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
             REVOKE CREATE, TEMPORARY, CONNECT ON DATABASE \"{database}\" FROM PUBLIC;
             GRANT CONNECT ON DATABASE \"{database}\" TO {orchestrator}, {provisioner}, {tenant};
             GRANT CREATE ON DATABASE \"{database}\" TO {provisioner};
             REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC;
             REVOKE SELECT ON pg_catalog.pg_stats, pg_catalog.pg_stats_ext, pg_catalog.pg_stats_ext_exprs FROM PUBLIC;
             CREATE SCHEMA IF NOT EXISTS control AUTHORIZATION {orchestrator};
             CREATE SCHEMA IF NOT EXISTS provisioner AUTHORIZATION {provisioner};
             ALTER SCHEMA control OWNER TO {orchestrator};
             ALTER SCHEMA provisioner OWNER TO {provisioner};
             REVOKE ALL ON SCHEMA control, provisioner FROM PUBLIC;
             {WITHOUT_CHECKS}
             REVOKE ALL ON FUNCTION provisioner.without_checks() FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION provisioner.without_checks() TO {provisioner};
             ALTER ROLE {tenant} SET search_path = '';
             ALTER ROLE {tenant} SET statement_timeout = '5s';
             ALTER ROLE {tenant} SET idle_in_transaction_session_timeout = '10s';
             ALTER ROLE {orchestrator} SET search_path = control;
             ALTER ROLE {orchestrator} SET statement_timeout = '30s';
             ALTER ROLE {orchestrator} SET idle_in_transaction_session_timeout = '60s';
             ALTER ROLE {provisioner} SET search_path = '';
             ALTER ROLE {provisioner} SET jit = off;
             ALTER ROLE {provisioner} SET max_parallel_workers_per_gather = 0;
             ALTER ROLE {provisioner} SET client_min_messages = warning;
             ALTER ROLE {provisioner} SET lock_timeout = '10s';
             ALTER ROLE {provisioner} SET idle_in_transaction_session_timeout = '60s';"
        )
    }
}
