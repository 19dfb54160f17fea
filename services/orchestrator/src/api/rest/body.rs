//! Strict reading of JSON bodies: every wrong field is named at once, unknown ones too.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use fault::{Detail, Fault, codes};
use modules::Selection;
use serde_json::{Map, Value};
use service::http::body::{self, Trouble};

use crate::session::fields;

/// Most bytes of a body.
const MOST_BYTES: usize = 256 * 1024;

/// The fields of a body. Take what is known, then [`Fields::finish`].
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    wrong: Vec<Detail>,
}

impl<S: Sync> FromRequest<S> for Fields {
    type Rejection = Fault;

    /// 415, 413 and 400 in this order; no body counts as `{}`.
    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        // Read before it is judged: a client that is still sending would not see the answer.
        let read = body::read(&parts.headers, body, MOST_BYTES).await;
        let says_json = is_json(&parts.headers)?;
        let bytes = read.map_err(|trouble| match trouble {
            Trouble::TooLarge(most) => Fault::new(
                codes::PAYLOAD_TOO_LARGE,
                format!("A body has at most {} KiB.", most / 1024),
            ),
            Trouble::Broken => Fault::new(codes::BAD_REQUEST, "The body did not arrive whole."),
        })?;
        if !bytes.is_empty() && !says_json {
            return Err(unsupported());
        }
        body::object(&bytes).map(Self::of)
    }
}

/// Whether the body is said to be JSON; nothing said is fine as long as there is nothing.
fn is_json(headers: &HeaderMap) -> Result<bool, Fault> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(false);
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        Ok(true)
    } else {
        Err(unsupported())
    }
}

fn unsupported() -> Fault {
    Fault::new(
        codes::UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON, with the header Content-Type: application/json.",
    )
}

impl Fields {
    fn of(object: Map<String, Value>) -> Self {
        Self {
            object,
            wrong: Vec::new(),
        }
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, Vec<Wrong>>) -> Option<T> {
        match self.object.shift_remove(name) {
            None | Some(Value::Null) => {
                self.note(name, vec![Wrong::here("is required")]);
                None
            }
            Some(value) => self.read(name, &value, read),
        }
    }

    /// A field that may be left out or `null`.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, Vec<Wrong>>) -> Option<T> {
        match self.object.shift_remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.read(name, &value, read),
        }
    }

    /// A field of a PATCH that cannot be cleared: left out it stays.
    pub fn change<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, Vec<Wrong>>) -> Option<T> {
        let value = self.object.shift_remove(name)?;
        if value.is_null() {
            self.note(name, vec![Wrong::here("must not be null")]);
            return None;
        }
        self.read(name, &value, read)
    }

    fn read<T>(&mut self, name: &str, value: &Value, read: impl FnOnce(&Value) -> Result<T, Vec<Wrong>>) -> Option<T> {
        read(value).map_err(|wrong| self.note(name, wrong)).ok()
    }

    fn note(&mut self, name: &str, wrong: Vec<Wrong>) {
        self.wrong.extend(
            wrong
                .into_iter()
                .map(|wrong| Detail::new(format!("{name}{}", wrong.place), wrong.must)),
        );
    }

    /// All mistakes together, with what is left over as unknown.
    ///
    /// # Errors
    /// 422 `VALIDATION_ERROR`.
    pub fn finish(mut self) -> Result<(), Fault> {
        for name in self.object.keys() {
            let shown: String = name.chars().take(80).collect();
            self.wrong.push(Detail::new(shown, "is not a field of this request"));
        }
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(Fault::invalid(self.wrong))
        }
    }
}

/// What is wrong within a field.
#[derive(Debug)]
pub struct Wrong {
    /// Behind the field's name: nothing, or an index.
    place: String,
    must: String,
}

impl Wrong {
    fn here(must: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            must: must.into(),
        }
    }
}

fn here<T>(result: Result<T, String>) -> Result<T, Vec<Wrong>> {
    result.map_err(|must| vec![Wrong::here(must)])
}

fn string(value: &Value) -> Result<&str, Vec<Wrong>> {
    here(value.as_str().ok_or_else(|| "must be a string".to_owned()))
}

/// A text of 1 to 60 characters.
pub fn text(value: &Value) -> Result<String, Vec<Wrong>> {
    here(fields::text(string(value)?))
}

/// A text of at most 60 characters; an empty one is none.
pub fn optional_text(value: &Value) -> Result<Option<String>, Vec<Wrong>> {
    here(fields::optional_text(Some(string(value)?)))
}

/// A currency.
pub fn currency(value: &Value) -> Result<domain::Currency, Vec<Wrong>> {
    here(fields::currency(string(value)?))
}

/// Yes or no.
pub fn boolean(value: &Value) -> Result<bool, Vec<Wrong>> {
    here(value.as_bool().ok_or_else(|| "must be true or false".to_owned()))
}

/// A choice of features. Every malformed slug is named by its place.
pub fn features(value: &Value) -> Result<Selection, Vec<Wrong>> {
    let Some(items) = value.as_array() else {
        return here(Err("must be an array of feature slugs".to_owned()));
    };
    let mut wrong = Vec::new();
    let mut slugs = Vec::with_capacity(items.len().min(fields::MOST_FEATURES));
    for (index, item) in items.iter().enumerate().take(fields::MOST_FEATURES) {
        let judged = match item.as_str() {
            None => Err("must be a string".to_owned()),
            Some(slug) => Selection::of([slug]).map(|_| slug).map_err(|bad| bad.to_string()),
        };
        match judged {
            Ok(slug) => slugs.push(slug),
            Err(must) => wrong.push(Wrong {
                place: format!("[{index}]"),
                must,
            }),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if items.len() > fields::MOST_FEATURES {
        return here(Err(format!(
            "must hold at most {} feature slugs",
            fields::MOST_FEATURES
        )));
    }
    here(fields::features(slugs.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(object) => Fields::of(object),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let mut body = fields(json!({"selectedFeatures": ["lms", 1, "No!"], "tier": null, "extra": {}}));
        assert!(body.required("selectedFeatures", features).is_none());
        assert!(body.required("tier", text).is_none());
        assert!(body.optional("currency", currency).is_none());
        let fault = body.finish().expect_err("three mistakes");
        let named: Vec<_> = fault.fields().iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(named, ["selectedFeatures[1]", "selectedFeatures[2]", "tier", "extra"]);
    }

    #[test]
    fn a_change_is_absent_or_a_value_but_never_null() {
        let mut body = fields(json!({"tier": "pro"}));
        assert_eq!(body.change("tier", text), Some("pro".to_owned()));
        assert_eq!(body.change("tier", text), None);
        assert!(body.finish().is_ok());
        let mut body = fields(json!({"tier": null}));
        assert_eq!(body.change("tier", text), None);
        assert!(body.finish().is_err());
    }
}
