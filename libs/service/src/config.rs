//! Configuration: every setting is a variable and a flag of the same name, all mistakes are told together.
//!
//! A service describes its settings once, in a function over a [`Reader`]. The function runs twice: first against no
//! values, to learn names, defaults and help for the command line, then against flags and environment.

mod kinds;

use std::{collections::HashMap, fmt, net::SocketAddr, ops::RangeInclusive, str::FromStr};

use clap::{Arg, ArgMatches, Command};

pub use kinds::{AppEnv, LogFormat, Origins, Proxies};

/// The secret that stands in for a missing one in development. Refused anywhere else.
pub const DEVELOPMENT_SECRET: &str = "development-only-secret-not-for-production";
/// Secrets outside development have at least this many bytes.
pub const SHORTEST_SECRET: usize = 32;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value so that it cannot be printed by accident.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that uses it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// All mistakes of a configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

struct Variable {
    name: &'static str,
    default: Option<String>,
    help: &'static str,
    secret: bool,
}

/// Reads settings one by one and collects what is wrong with them.
pub struct Reader {
    values: HashMap<String, String>,
    variables: Vec<Variable>,
    mistakes: Vec<String>,
}

impl Reader {
    /// A reader over given values, for tests.
    pub fn over<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) -> Self {
        let values = values
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            values,
            variables: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    fn raw(&mut self, name: &'static str, default: Option<String>, help: &'static str, secret: bool) -> Option<String> {
        let value = self.values.get(name).filter(|value| !value.trim().is_empty()).cloned();
        let result = value.or_else(|| default.clone());
        self.variables.push(Variable {
            name,
            default,
            help,
            secret,
        });
        result
    }

    fn wrong(&mut self, name: &str, was: &str, must: &str) {
        self.mistakes.push(format!("{name}: is {was:?}, {must}"));
    }

    /// A setting that parses from text; the error of the type says what it must be.
    pub fn parsed<T>(&mut self, name: &'static str, default: &str, help: &'static str) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
        T: Fallback,
    {
        let text = self
            .raw(name, Some(default.to_owned()), help, false)
            .unwrap_or_default();
        text.trim().parse().unwrap_or_else(|error: T::Err| {
            self.wrong(name, &text, &error.to_string());
            T::fallback()
        })
    }

    /// A whole number within `range`.
    pub fn number(&mut self, name: &'static str, default: u64, range: RangeInclusive<u64>, help: &'static str) -> u64 {
        let text = self
            .raw(name, Some(default.to_string()), help, false)
            .unwrap_or_default();
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let must = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.wrong(name, &text, &must);
                default
            }
        }
    }

    /// A number with a fraction within `range`: hours and minutes, so that a few seconds can be said.
    pub fn decimal(&mut self, name: &'static str, default: f64, range: RangeInclusive<f64>, help: &'static str) -> f64 {
        let text = self
            .raw(name, Some(default.to_string()), help, false)
            .unwrap_or_default();
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let must = format!("must be a number from {} to {}", range.start(), range.end());
                self.wrong(name, &text, &must);
                default
            }
        }
    }

    /// An address to listen on, `HOST:PORT`.
    pub fn address(&mut self, name: &'static str, default: &str, help: &'static str) -> SocketAddr {
        let text = self
            .raw(name, Some(default.to_owned()), help, false)
            .unwrap_or_default();
        text.trim().parse().unwrap_or_else(|_| {
            self.wrong(
                name,
                &text,
                "must be an IP address and a port, such as 0.0.0.0:3001 or [::]:3001",
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// The base address of another service.
    pub fn url(&mut self, name: &'static str, default: &str, help: &'static str) -> String {
        let text = self
            .raw(name, Some(default.to_owned()), help, false)
            .unwrap_or_default();
        match url::Url::parse(text.trim()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && is_base(&url) => {
                text.trim().trim_end_matches('/').to_owned()
            }
            _ => {
                let must = "must be an address such as http://localhost:3004, without ? and #";
                self.wrong(name, &text, must);
                String::new()
            }
        }
    }

    /// An address that may be left out.
    pub fn optional_url(&mut self, name: &'static str, help: &'static str) -> Option<String> {
        let text = self.raw(name, None, help, false)?;
        match url::Url::parse(text.trim()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(text.trim().trim_end_matches('/').to_owned()),
            _ => {
                self.wrong(name, &text, "must be an address such as http://localhost:4317");
                None
            }
        }
    }

    /// What a file holds, checked by `check`, whose error says what it must be. It may be left out.
    pub fn file<T>(
        &mut self,
        name: &'static str,
        help: &'static str,
        check: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Option<T> {
        let path = self.raw(name, None, help, false)?;
        let content = std::fs::read(path.trim())
            .map_err(|error| format!("must be a file that can be read ({error})"))
            .and_then(|bytes| check(&bytes));
        content.map_err(|must| self.wrong(name, &path, &must)).ok()
    }

    /// Whether a setting has a value besides its default, right or wrong.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.trim().is_empty())
    }

    /// Free text that may be left out.
    pub fn optional(&mut self, name: &'static str, help: &'static str) -> Option<String> {
        self.raw(name, None, help, false)
    }

    /// A secret that may be left out.
    pub fn optional_secret(&mut self, name: &'static str, help: &'static str) -> Option<Secret> {
        self.raw(name, None, help, true).map(Secret)
    }

    /// The address of a database; secret, since it carries a password. `or` names an earlier variable that stands in.
    pub fn database(&mut self, name: &'static str, or: Option<&'static str>, help: &'static str) -> Secret {
        let first = self.raw(name, None, help, true);
        // Described always, so that it is a flag too.
        let second = or.and_then(|or| self.raw(or, None, "Stands in for the database address that is left out.", true));
        let names = or.map_or_else(|| name.to_owned(), |or| format!("{name} or {or}"));
        let given = if first.is_some() { name } else { or.unwrap_or(name) };
        let Some(text) = first.or(second) else {
            self.mistakes.push(format!(
                "{names}: is missing, must be like postgresql://user:password@host:5432/database"
            ));
            return Secret(String::new());
        };
        match url::Url::parse(text.trim()) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") && url.has_host() => {
                Secret(text.trim().to_owned())
            }
            _ => {
                self.mistakes.push(format!(
                    "{given}: is no database address, must be like postgresql://user:password@host:5432/database"
                ));
                Secret(String::new())
            }
        }
    }

    /// A shared secret. In development it may be left out; elsewhere it must have 32 bytes and not be the
    /// built-in one.
    pub fn secret(&mut self, name: &'static str, app_env: AppEnv, help: &'static str) -> Secret {
        let text = self.raw(name, None, help, true);
        if app_env == AppEnv::Development {
            return Secret(text.unwrap_or_else(|| DEVELOPMENT_SECRET.to_owned()));
        }
        let text = text.unwrap_or_default();
        if text.is_empty() {
            self.mistakes.push(format!(
                "{name}: is missing, must be a secret of at least {SHORTEST_SECRET} bytes"
            ));
        } else if text == DEVELOPMENT_SECRET || text == "dev-internal-secret" {
            self.mistakes.push(format!(
                "{name}: is the built-in development value, must be a secret of your own"
            ));
        } else if text.len() < SHORTEST_SECRET {
            self.mistakes.push(format!(
                "{name}: has {} bytes, must have at least {SHORTEST_SECRET}",
                text.len()
            ));
        }
        Secret(text)
    }

    /// A secret that signs: as [`Self::secret`], and one of one's own has 32 bytes in development too.
    pub fn key(&mut self, name: &'static str, app_env: AppEnv, help: &'static str) -> Secret {
        let key = self.secret(name, app_env, help);
        let length = key.0.len();
        if app_env == AppEnv::Development && self.is_given(name) && length < SHORTEST_SECRET {
            self.mistakes.push(format!(
                "{name}: has {length} bytes, must have at least {SHORTEST_SECRET}"
            ));
        }
        key
    }

    /// A mistake that concerns several settings.
    pub fn mistake(&mut self, text: impl Into<String>) {
        self.mistakes.push(text.into());
    }

    fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Mistakes(self.mistakes))
        }
    }
}

/// Whether something can be put behind it.
fn is_base(url: &url::Url) -> bool {
    url.query().is_none() && url.fragment().is_none()
}

/// What stands in for a value that was wrong while the other mistakes are collected.
pub trait Fallback {
    /// Any value; it is never used, since the mistake stops the process.
    fn fallback() -> Self;
}

impl<T: Default> Fallback for T {
    fn fallback() -> Self {
        T::default()
    }
}

/// Reads a configuration from given values.
///
/// # Errors
/// All mistakes together.
pub fn read<T>(mut reader: Reader, describe: impl Fn(&mut Reader) -> T) -> Result<T, Mistakes> {
    let config = describe(&mut reader);
    reader.finish(config)
}

/// The command line that offers every setting of `describe` as a flag with its variable and default.
pub fn command<T>(command: Command, describe: impl Fn(&mut Reader) -> T) -> Command {
    let mut reader = Reader::over::<String, String>([]);
    let _ = describe(&mut reader);
    command
        .next_line_help(true)
        .args(reader.variables.into_iter().map(|variable| {
            let flag = variable.name.to_lowercase().replace('_', "-");
            let default = match variable.default {
                Some(default) if !default.is_empty() => format!(" [default: {default}]"),
                _ => String::new(),
            };
            Arg::new(variable.name)
                .long(flag)
                .env(variable.name)
                .hide_env_values(variable.secret)
                .value_name("VALUE")
                .help(format!("{}{default}", variable.help))
        }))
}

/// Reads a configuration from what [`command`] parsed.
///
/// # Errors
/// All mistakes together.
pub fn from_matches<T>(matches: &ArgMatches, describe: impl Fn(&mut Reader) -> T) -> Result<T, Mistakes> {
    let values = matches.ids().filter_map(|id| {
        Some((
            id.to_string(),
            matches.try_get_one::<String>(id.as_str()).ok()??.clone(),
        ))
    });
    read(Reader::over(values), describe)
}

/// Reads flags and environment of a process that has no subcommands; prints mistakes and leaves with 2.
pub fn from_process<T>(name: &'static str, about: &'static str, describe: impl Fn(&mut Reader) -> T) -> T {
    let matches = command(
        Command::new(name).about(about).version(env!("CARGO_PKG_VERSION")),
        &describe,
    )
    .get_matches();
    from_matches(&matches, describe).unwrap_or_else(|mistakes| leave(name, &mistakes))
}

/// Prints the mistakes, one line each, and ends the process with 2.
pub fn leave(name: &str, mistakes: &Mistakes) -> ! {
    eprintln!("{name}: the configuration is wrong:\n{mistakes}");
    std::process::exit(2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(reader: &mut Reader) -> (u64, SocketAddr, Secret, Secret) {
        let app_env = reader.parsed("APP_ENV", "development", "where it runs");
        (
            reader.number("DB_POOL_SIZE", 16, 1..=500, "connections"),
            reader.address("HTTP_ADDR", "0.0.0.0:3001", "where it listens"),
            reader.database("DATABASE_URL", None, "the database"),
            reader.secret("JWT_SECRET", app_env, "signs tokens"),
        )
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_secrets_are_not() {
        let values = [
            ("APP_ENV", "production"),
            ("DB_POOL_SIZE", "many"),
            ("HTTP_ADDR", "3001"),
            ("DATABASE_URL", "mysql://root:hunter2@db/x"),
            ("JWT_SECRET", "too-short"),
        ];
        let Err(mistakes) = read(Reader::over(values), describe) else {
            panic!("must be refused")
        };
        assert_eq!(
            mistakes.to_string(),
            "DB_POOL_SIZE: is \"many\", must be a whole number from 1 to 500\n\
             HTTP_ADDR: is \"3001\", must be an IP address and a port, such as 0.0.0.0:3001 or [::]:3001\n\
             DATABASE_URL: is no database address, must be like postgresql://user:password@host:5432/database\n\
             JWT_SECRET: has 9 bytes, must have at least 32"
        );
    }

    #[test]
    fn secrets_are_judged_as_in_production_where_nobody_knows_where_it_runs() {
        let values = [
            ("APP_ENV", "prod"),
            ("DATABASE_URL", "postgresql://h/db"),
            ("JWT_SECRET", "too-short"),
        ];
        let Err(mistakes) = read(Reader::over(values), describe) else {
            panic!("must be refused")
        };
        assert_eq!(
            mistakes.to_string(),
            "APP_ENV: is \"prod\", must be development, production or test\n\
             JWT_SECRET: has 9 bytes, must have at least 32"
        );
    }

    #[test]
    fn behind_a_base_address_something_can_be_put() {
        let read_url = |url: &str| {
            let describe = |reader: &mut Reader| reader.url("A_URL", "http://localhost:3004", "another service");
            read(Reader::over([("A_URL", url)]), describe).ok()
        };
        assert_eq!(read_url("https://app.test/a/"), Some("https://app.test/a".to_owned()));
        for url in [
            "http://app.test/?a=b",
            "http://app.test/#a",
            "http://app.test?",
            "ftp://app.test",
            "app.test",
        ] {
            assert_eq!(read_url(url), None, "{url}");
        }
    }

    #[test]
    fn defaults_stand_in_for_what_is_not_said() {
        let read = read(
            Reader::over([("DATABASE_URL", "postgresql://u:p@localhost/db"), ("DB_POOL_SIZE", " ")]),
            describe,
        );
        let Ok((pool, address, _, secret)) = read else {
            panic!("must be accepted")
        };
        assert_eq!((pool, address.port(), secret.reveal()), (16, 3001, DEVELOPMENT_SECRET));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn the_built_in_secret_is_refused_in_production() {
        let values = [
            ("APP_ENV", "production"),
            ("DATABASE_URL", "postgresql://h/db"),
            ("JWT_SECRET", DEVELOPMENT_SECRET),
        ];
        assert!(read(Reader::over(values), describe).is_err());
    }

    #[test]
    fn every_setting_is_a_flag_with_its_default_in_the_help() {
        let help = command(Command::new("test"), describe).render_long_help().to_string();
        for text in ["--db-pool-size", "DB_POOL_SIZE", "[default: 16]", "--jwt-secret"] {
            assert!(help.contains(text), "{text} in\n{help}");
        }
    }

    #[test]
    fn a_flag_wins() {
        let command = command(Command::new("test"), describe);
        let matches = command.get_matches_from(["test", "--db-pool-size", "3", "--database-url", "postgresql://h/db"]);
        assert_eq!(from_matches(&matches, describe).map(|config| config.0).ok(), Some(3));
    }
}
