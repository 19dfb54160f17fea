//! Fields: what a value must be, who may write and who may read it. Routes, checks, documents and answers share it.

use super::Shape;

/// One field of a body, a query or a row.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON, camelCase.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Must be in a create body.
    pub required: bool,
    /// Never null: it is required, has a default, or is filled by the server.
    pub not_null: bool,
    /// Stands in when it is left out on create, as JSON text; `None` leaves it to the database or to null.
    pub default: Option<&'static str>,
    /// Least length, count or value.
    pub min: Option<&'static str>,
    /// Greatest length, count or value.
    pub max: Option<&'static str>,
    /// A regular expression for the whole text.
    pub pattern: Option<&'static str>,
    /// Who may write it.
    pub write: Write,
    /// Who may read it.
    pub read: Read,
    /// The table whose row it names.
    pub refers_to: Option<&'static str>,
    /// Input is upper-cased before it is looked at.
    pub upper: bool,
    /// Taken as sent, not trimmed: passwords.
    pub verbatim: bool,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Plain text.
    Text,
    /// Text with markup, kept as sent.
    Markdown,
    /// Lower-case words joined by dashes.
    Slug,
    /// An e-mail address, kept in lower case.
    Email,
    /// A new password: a letter and a digit at least, taken as sent.
    Password,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A 32-bit whole number.
    Int,
    /// A decimal with so many digits after the point, a string in JSON.
    Decimal(u32),
    /// An amount: a string with two digits after the point.
    Money,
    /// ISO 4217.
    Currency,
    /// True or false.
    Bool,
    /// An instant.
    Timestamp,
    /// A day.
    Date,
    /// A time of day, HH:MM.
    Time,
    /// `#rrggbb`.
    Color,
    /// An id.
    Uuid,
    /// Any JSON.
    Json,
    /// An object of any keys.
    Map,
    /// An object of this shape.
    Object(&'static Shape),
    /// An array of such values.
    Array(&'static Kind),
    /// Bytes, never in JSON.
    Bytes,
}

/// Who may write a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Whoever may write the row.
    All,
    /// Whoever creates the row; it stays.
    Create,
    /// Staff and admins.
    Staff,
    /// Admins.
    Admin,
    /// The server alone.
    Server,
}

/// Who may read a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Whoever sees the row.
    All,
    /// The row's owner, staff and admins.
    Owner,
    /// Staff and admins.
    Staff,
    /// Nobody.
    None,
}

impl Field {
    const fn of(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            not_null: false,
            default: None,
            min: None,
            max: None,
            pattern: None,
            write: Write::All,
            read: Read::All,
            refers_to: None,
            upper: false,
            verbatim: false,
        }
    }

    /// Plain text of at most `max` characters.
    #[must_use]
    pub const fn text(name: &'static str, max: &'static str) -> Self {
        Self::of(name, Kind::Text).max(max)
    }

    /// Text with markup of at most `max` characters.
    #[must_use]
    pub const fn markdown(name: &'static str, max: &'static str) -> Self {
        Self::of(name, Kind::Markdown).max(max)
    }

    /// A slug of at most 80 characters, made from another field when it is left out.
    #[must_use]
    pub const fn slug(name: &'static str) -> Self {
        Self::of(name, Kind::Slug).max("80").filled()
    }

    /// An e-mail address.
    #[must_use]
    pub const fn email(name: &'static str) -> Self {
        Self::of(name, Kind::Email).max("254")
    }

    /// A new password of 8 to 72 characters.
    #[must_use]
    pub const fn password(name: &'static str) -> Self {
        Self::of(name, Kind::Password).min("8").max("72").verbatim()
    }

    /// One of `values`.
    #[must_use]
    pub const fn one_of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self::of(name, Kind::Enum(values))
    }

    /// A whole number.
    #[must_use]
    pub const fn int(name: &'static str) -> Self {
        Self::of(name, Kind::Int)
    }

    /// A decimal string with `scale` digits after the point.
    #[must_use]
    pub const fn decimal(name: &'static str, scale: u32) -> Self {
        Self::of(name, Kind::Decimal(scale))
    }

    /// An amount of money.
    #[must_use]
    pub const fn money(name: &'static str) -> Self {
        Self::of(name, Kind::Money)
    }

    /// An ISO 4217 code.
    #[must_use]
    pub const fn currency(name: &'static str) -> Self {
        Self::of(name, Kind::Currency)
    }

    /// True or false.
    #[must_use]
    pub const fn bool(name: &'static str) -> Self {
        Self::of(name, Kind::Bool)
    }

    /// An instant.
    #[must_use]
    pub const fn timestamp(name: &'static str) -> Self {
        Self::of(name, Kind::Timestamp)
    }

    /// A day.
    #[must_use]
    pub const fn date(name: &'static str) -> Self {
        Self::of(name, Kind::Date)
    }

    /// A time of day.
    #[must_use]
    pub const fn time(name: &'static str) -> Self {
        Self::of(name, Kind::Time)
    }

    /// A colour.
    #[must_use]
    pub const fn color(name: &'static str) -> Self {
        Self::of(name, Kind::Color)
    }

    /// An id that is not checked against a table.
    #[must_use]
    pub const fn uuid(name: &'static str) -> Self {
        Self::of(name, Kind::Uuid)
    }

    /// The id of a row of `table`.
    #[must_use]
    pub const fn reference(name: &'static str, table: &'static str) -> Self {
        let mut field = Self::of(name, Kind::Uuid);
        field.refers_to = Some(table);
        field
    }

    /// Any JSON.
    #[must_use]
    pub const fn any(name: &'static str) -> Self {
        Self::of(name, Kind::Json)
    }

    /// An object of any keys.
    #[must_use]
    pub const fn map(name: &'static str) -> Self {
        Self::of(name, Kind::Map)
    }

    /// An object.
    #[must_use]
    pub const fn object(name: &'static str, shape: &'static Shape) -> Self {
        Self::of(name, Kind::Object(shape))
    }

    /// An array.
    #[must_use]
    pub const fn array(name: &'static str, items: &'static Kind) -> Self {
        Self::of(name, Kind::Array(items))
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(name: &'static str) -> Self {
        Self::of(name, Kind::Bytes).server().hidden()
    }

    /// Must be in a create body, and never null.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self.not_null = true;
        self
    }

    /// Filled by the server when it is left out, and never null.
    #[must_use]
    pub const fn filled(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// Stands in when it is left out on create; JSON text.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self.not_null = true;
        self
    }

    /// Least length, count or value.
    #[must_use]
    pub const fn min(mut self, min: &'static str) -> Self {
        self.min = Some(min);
        self
    }

    /// Greatest length, count or value.
    #[must_use]
    pub const fn max(mut self, max: &'static str) -> Self {
        self.max = Some(max);
        self
    }

    /// A regular expression for the whole text.
    #[must_use]
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Upper-cased before it is looked at.
    #[must_use]
    pub const fn upper(mut self) -> Self {
        self.upper = true;
        self
    }

    /// Taken as sent.
    #[must_use]
    pub const fn verbatim(mut self) -> Self {
        self.verbatim = true;
        self
    }

    /// Written by the server alone.
    #[must_use]
    pub const fn server(mut self) -> Self {
        self.write = Write::Server;
        self
    }

    /// Set at creation, unchangeable after it.
    #[must_use]
    pub const fn create_only(mut self) -> Self {
        self.write = Write::Create;
        self
    }

    /// Written by staff and admins only.
    #[must_use]
    pub const fn by_staff(mut self) -> Self {
        self.write = Write::Staff;
        self
    }

    /// Written by admins only.
    #[must_use]
    pub const fn by_admin(mut self) -> Self {
        self.write = Write::Admin;
        self
    }

    /// Never shown.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.read = Read::None;
        self
    }

    /// Shown to staff and admins only.
    #[must_use]
    pub const fn for_staff(mut self) -> Self {
        self.read = Read::Staff;
        self
    }

    /// Shown to the row's owner, staff and admins only.
    #[must_use]
    pub const fn for_owner(mut self) -> Self {
        self.read = Read::Owner;
        self
    }

    /// As a filter takes it: a text that is too short, or of another form, is in no row; a number out of range is a mistake.
    #[must_use]
    pub fn asked(self) -> Self {
        Self {
            min: self.min.filter(|_| self.is_number()),
            pattern: None,
            ..self
        }
    }

    /// Whether its limits are of the value, not of its length.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Int | Kind::Decimal(_) | Kind::Money)
    }

    /// Whether its column holds jsonb.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        matches!(self.kind, Kind::Json | Kind::Map | Kind::Object(_) | Kind::Array(_))
    }
}

/// The column of a field: its name in `snake_case`.
#[must_use]
pub fn column(name: &str) -> String {
    let mut column = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(letter.to_ascii_lowercase());
    }
    column
}

/// Columns that every table has besides its fields.
pub const IMPLICIT: [Field; 3] = [
    Field::uuid("id").server(),
    Field::timestamp("createdAt").server(),
    Field::timestamp("updatedAt").server(),
];

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn columns_are_the_snake_case_of_fields() {
        assert_eq!(column("compareAtPrice"), "compare_at_price");
        assert_eq!(column("cardLast4"), "card_last4");
        assert_eq!(column("sku"), "sku");
    }
}
