//! A PostgreSQL server that runs already: told apart from one that does not, and given databases.

use anyhow::{Context, Result, anyhow, bail};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use url::Url;

/// Reads an address, with a message that names the variable and never shows a password.
///
/// # Errors
/// When it is no address of a PostgreSQL database.
pub fn parse(variable: &str, text: &str) -> Result<Url> {
    let form = "postgresql://user:password@host:5432/database";
    let url = Url::parse(text).map_err(|error| anyhow!("{variable} is no URL ({error}): write {form}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        bail!(
            "{variable} begins with {}:// and is no PostgreSQL URL: write {form}",
            url.scheme()
        );
    }
    if url.host_str().is_none_or(str::is_empty) || url.path().len() < 2 {
        bail!("{variable} lacks a host or a database: write {form}");
    }
    Ok(url)
}

/// Connects. The connection ends with the client.
///
/// # Errors
/// In one sentence that says what to do, `variable` being where the address comes from.
#[expect(
    clippy::disallowed_methods,
    reason = "a connection's task ends with its client; nothing has to wait for it"
)]
pub async fn connect(variable: &str, url: &Url) -> Result<Client> {
    let place = format!("{}:{}", url.host_str().unwrap_or("?"), url.port().unwrap_or(5432));
    match tokio_postgres::connect(url.as_str(), NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Err(error) => {
            let database = url.path().trim_start_matches('/');
            let user = url.username();
            let said = error
                .as_db_error()
                .map_or_else(|| error.to_string(), |error| error.message().to_owned());
            Err(match error.code() {
                Some(&SqlState::INVALID_CATALOG_NAME) => {
                    anyhow!("{variable} names the database {database}, which {place} does not have: create it")
                }
                Some(&(SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION)) => {
                    anyhow!("{variable}: {place} refuses the user {user} ({said}): correct user and password")
                }
                Some(_) => anyhow!("{variable}: {place} answers: {said}"),
                None => {
                    anyhow!("{variable}: no PostgreSQL answers at {place} ({said}): start it or correct the address")
                }
            })
        }
    }
}

/// Makes a database unless it exists. `name` is spliced: lower-case letters, digits and underscores.
///
/// # Errors
/// When the name is another or the server refuses.
pub async fn create_database(client: &Client, name: &str) -> Result<()> {
    require_plain(name)?;
    match client
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
        .await
    {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        made => made.with_context(|| format!("the database {name} cannot be made")),
    }
}

/// Removes a database and the roles that carry its name, if they exist.
///
/// # Errors
/// When the name is not plain or the server refuses.
pub async fn drop_database(client: &Client, name: &str) -> Result<()> {
    require_plain(name)?;
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    client
        .batch_execute(&drop)
        .await
        .with_context(|| format!("the database {name} cannot be dropped"))?;
    let prefix = format!("{name}_");
    let roles = client
        .query(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)",
            &[&prefix],
        )
        .await?;
    let names: Vec<String> = roles.iter().map(|row| row.get(0)).collect();
    if !names.is_empty() {
        let list = names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        client
            .batch_execute(&format!("DROP ROLE IF EXISTS {list}"))
            .await
            .context("roles cannot be dropped")?;
    }
    Ok(())
}

fn require_plain(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.len() < 40 && name.chars().all(plain) {
        Ok(())
    } else {
        bail!("{name:?} is no name for a database here: use up to 39 lower-case letters, digits and underscores")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_address_is_told_without_its_password() {
        for text in [
            "",
            "mysql://u:hunter2@h/db",
            "postgresql://u:hunter2@h",
            "u:hunter2@h/db",
        ] {
            let error = parse("DATABASE_URL", text).expect_err(text).to_string();
            assert!(error.starts_with("DATABASE_URL"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(parse("DATABASE_URL", "postgres://u:p@localhost/db").is_ok());
    }
}
