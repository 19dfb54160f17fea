//! The query string, read once and checked field by field.

use std::collections::HashMap;

use fault::{Detail, Fault, codes};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::resource::{
    field::{Field, Kind},
    value,
};

/// The parameters of a request. One that is repeated counts as a comma list.
#[derive(Clone, Debug, Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    /// Reads a query string.
    ///
    /// # Errors
    /// 400 when its percent encoding is broken.
    pub fn read(raw: Option<&str>) -> Result<Self, Fault> {
        let bad = || {
            Fault::new(
                codes::BAD_REQUEST,
                "The query is badly encoded: every % must be followed by two hexadecimal digits of UTF-8.",
            )
        };
        let decode = |text: &str| {
            let bytes = text.as_bytes();
            let is_broken = bytes.iter().enumerate().any(|(i, b)| {
                *b == b'%'
                    && !(bytes.get(i + 1).is_some_and(u8::is_ascii_hexdigit)
                        && bytes.get(i + 2).is_some_and(u8::is_ascii_hexdigit))
            });
            if is_broken {
                return Err(bad());
            }
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| bad())
        };
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let read = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        };
        let mut values: HashMap<String, String> = HashMap::new();
        for pair in pairs {
            let (name, value) = read(pair)?;
            values
                .entry(name)
                .and_modify(|known| *known = format!("{known},{value}"))
                .or_insert(value);
        }
        Ok(Self(values))
    }

    /// A parameter, without white space around it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    /// Checks the parameters of `fields`; unknown ones are passed over.
    ///
    /// # Errors
    /// 422 with all mistakes.
    pub fn checked(&self, fields: &'static [Field]) -> Result<Map<String, Value>, Fault> {
        let mut details = Vec::new();
        let mut kept = Map::new();
        for field in fields {
            match self.get(field.name) {
                Some(text) => {
                    if let Some(value) = typed(field, text, field.name, &mut details) {
                        kept.insert(field.name.to_owned(), value);
                    }
                }
                None if field.required => details.push(Detail::new(field.name, "is required")),
                None => {
                    kept.insert(field.name.to_owned(), value::default(field));
                }
            }
        }
        if details.is_empty() {
            Ok(kept)
        } else {
            Err(Fault::invalid(details))
        }
    }
}

/// Checks a parameter: the text is read as the JSON value that the kind wants.
pub fn typed(field: &Field, text: &str, path: &str, details: &mut Vec<Detail>) -> Option<Value> {
    // No words are no wish.
    if text.is_empty() && field.verbatim {
        return Some(Value::Null);
    }
    let sent = match field.kind {
        Kind::Int => text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n)),
        Kind::Bool => text.parse::<bool>().map_or_else(|_| json!(text), |b| json!(b)),
        _ => json!(text),
    };
    value::normalise(
        &Field {
            not_null: true,
            ..*field
        },
        sent,
        path,
        details,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_must_be_whole_and_repeats_are_a_list() {
        for (raw, q) in [
            ("q=a%20b+c&page=2", Some("a b c")),
            ("q=a&page=2&q=b&%71=c", Some("a,b,c")),
            ("q=+&page=2", Some("")),
            ("q", Some("")),
            ("page=2", None),
        ] {
            let read = Query::read(Some(raw)).ok();
            assert_eq!(read.as_ref().and_then(|query| query.get("q")), q, "{raw}");
        }
        for wrong in ["q=%", "q=%2", "q=%zz", "q=%ff", "%=1"] {
            assert!(Query::read(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parameters_are_checked_like_fields() {
        static FIELDS: &[Field] = &[
            Field::int("page").min("1").default("1"),
            Field::bool("unread"),
            Field::text("q", "9").verbatim(),
        ];
        let read = |raw| {
            Query::read(Some(raw))
                .and_then(|query| query.checked(FIELDS))
                .map(Value::Object)
        };
        assert_eq!(
            read("page=3&unread=true&other=1&other=2").ok(),
            Some(json!({"page": 3, "unread": true, "q": null}))
        );
        assert_eq!(read("q=").ok(), Some(json!({"page": 1, "unread": null, "q": null})));
        for wrong in ["page=0", "page=x", "page=", "page=1&page=1", "unread=yes", "unread="] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
