//! From an error of the database to a fault. Constraint names of `libs/modules` tell the field.

use fault::{Fault, codes};
use sea_orm::{
    DbErr, RuntimeErr,
    prelude::Uuid,
    sqlx::{self, postgres::PgDatabaseError},
};

/// Why a handler gave up.
#[derive(Debug)]
pub enum Error {
    /// An answer.
    Fault(Fault),
    /// The database refused; what that means is judged where the request may be run again.
    Database(DbErr),
}

/// What handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// What an error of the database means for the request.
#[derive(Debug)]
pub enum Failure {
    /// A lost race: the same request may succeed when it is run again.
    Lost(DbErr),
    /// The session's schema or role is not what the cache says: it may be over.
    Moved(DbErr),
    /// An answer.
    Fault(Fault),
}

fn database(error: &DbErr) -> Option<&PgDatabaseError> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => match &**error {
            sqlx::Error::Database(error) => error.try_downcast_ref::<PgDatabaseError>(),
            _ => None,
        },
        _ => None,
    }
}

fn is_away(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => {
            matches!(
                &**error,
                sqlx::Error::Io(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::WorkerCrashed
            )
        }
        _ => false,
    }
}

/// The fields behind `<table>_<columns>_<suffix>`, given the table that the error names.
fn fields(error: &PgDatabaseError, suffix: &str) -> Vec<String> {
    let (table, constraint) = (
        error.table().unwrap_or_default(),
        error.constraint().unwrap_or_default(),
    );
    let middle = constraint
        .strip_prefix(table)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|rest| rest.strip_suffix(suffix));
    middle.map(camel).into_iter().collect()
}

/// Whether a row was refused for a unique key.
#[must_use]
pub fn is_taken(error: &DbErr) -> bool {
    database(error).is_some_and(|cause| cause.code() == "23505")
}

/// The fields of a unique key, from `Key (user_id, name)=(…) already exists.`
fn taken(error: &PgDatabaseError) -> Vec<String> {
    let columns = error
        .detail()
        .and_then(|detail| detail.split_once('(')?.1.split_once(")=("));
    columns.map_or_else(Vec::new, |(columns, _)| columns.split(", ").map(camel).collect())
}

/// `user_id` to `userId`.
fn camel(column: &str) -> String {
    let mut words = column.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// Whether a row refers to a user who is gone.
#[must_use]
pub fn is_gone(error: &DbErr, user: Uuid) -> bool {
    let names = |cause: &PgDatabaseError| {
        // Names and values are the same in every language of the server.
        let (gone, table) = (format!("=({user})"), "\"users\"");
        cause.code() == "23503"
            && cause
                .detail()
                .is_some_and(|text| text.contains(&gone) && text.contains(table))
    };
    database(error).is_some_and(names)
}

/// Judges an error.
#[must_use]
pub fn judge(error: DbErr) -> Failure {
    if is_away(&error) {
        return Failure::Fault(Fault::unavailable(1, error));
    }
    let Some(cause) = database(&error) else {
        return Failure::Fault(match error {
            DbErr::RecordNotFound(_) | DbErr::RecordNotUpdated => Fault::not_found(),
            error => Fault::internal(error),
        });
    };
    match cause.code() {
        // Serialisation failure, deadlock.
        "40001" | "40P01" => Failure::Lost(error),
        // No such table, schema, role, or no right to it.
        "42P01" | "3F000" | "42501" | "22023" | "42704" => Failure::Moved(error),
        // The server is stopping, starting or out of connections.
        code if code.starts_with("57P") || code.starts_with("53") || code.starts_with("08") => {
            Failure::Fault(Fault::unavailable(1, error))
        }
        // Statement timeout, lock timeout, a transaction that idled too long.
        "57014" | "55P03" | "25P03" => Failure::Fault(Fault::unavailable(1, error)),
        "23505" => {
            let names = taken(cause);
            let message = names.first().map_or("This value is taken.".to_owned(), |name| {
                format!("{name}: this value is taken.")
            });
            let taken = names.into_iter().map(|name| fault::Detail::new(name, "is taken"));
            Failure::Fault(Fault::new(codes::CONFLICT, message).details(taken).because(error))
        }
        "23503" if cause.message().starts_with("insert or update") => {
            let name = fields(cause, "_fkey").pop().unwrap_or_else(|| "id".into());
            Failure::Fault(Fault::field(name, "names a row that does not exist").because(error))
        }
        // 23001 is what PostgreSQL 18 calls it.
        "23503" | "23001" => {
            Failure::Fault(Fault::new(codes::IN_USE, "Other rows still refer to this one.").because(error))
        }
        "23514" => {
            let name = fields(cause, "_check").pop().unwrap_or_default();
            Failure::Fault(Fault::field(name, "breaks a rule of this table").because(error))
        }
        // Sums of amounts that were right by themselves.
        "22003" => Failure::Fault(Fault::field("total", "would be larger than what can be kept").because(error)),
        _ => Failure::Fault(Fault::internal(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn columns_turn_back_into_fields() {
        assert_eq!(camel("compare_at_price"), "compareAtPrice");
        assert_eq!(camel("sku"), "sku");
    }
}
