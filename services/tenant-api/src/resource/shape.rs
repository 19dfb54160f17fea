//! What answers hold: named groups of fields, and the rows of collections.

use super::{Field, Spec};

/// A named object of bodies and answers.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name in documents: that of the contract, or the table of its rows.
    pub name: &'static str,
    /// The collection whose rows it is; their columns come before `fields`.
    pub row: Option<&'static Spec>,
    /// Its fields.
    pub fields: &'static [Field],
    /// Rows of others that are embedded where one row is shown; lists leave them out.
    pub embeds: &'static [Field],
}

impl Shape {
    /// An object of these fields.
    #[must_use]
    pub const fn of(name: &'static str, fields: &'static [Field]) -> Self {
        Self {
            name,
            row: None,
            fields,
            embeds: &[],
        }
    }
}

/// What an answer's `data` is.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// An object of these fields.
    Fields(&'static [Field]),
    /// One of these, with everything embedded.
    One(&'static Shape),
    /// A page of these.
    Page(&'static Shape),
    /// All of these.
    Array(&'static Shape),
    /// The id of a row that is gone.
    Id,
    /// Bytes of one of these media types, without an envelope.
    Bytes(&'static [&'static str]),
}
