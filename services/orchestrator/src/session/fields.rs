//! Checks of what callers send, the same for REST and gRPC. Each returns the checked value or what would be right.

use domain::Currency;
use modules::Selection;

/// Most slugs of one choice.
pub const MOST_FEATURES: usize = 200;
/// Most characters of a tier or a template.
pub const LONGEST_TEXT: usize = 60;
/// Most characters of an operator's reason.
pub const LONGEST_REASON: usize = 200;

/// A choice of features: at most 200 well-formed slugs. None is core alone.
///
/// # Errors
/// What would be right.
pub fn features<'a>(slugs: impl ExactSizeIterator<Item = &'a str>) -> Result<Selection, String> {
    if slugs.len() > MOST_FEATURES {
        return Err(format!("must hold at most {MOST_FEATURES} feature slugs"));
    }
    Selection::of(slugs).map_err(|bad| bad.to_string())
}

/// A required text of at most 60 characters, trimmed.
///
/// # Errors
/// What would be right.
pub fn text(text: &str) -> Result<String, String> {
    bounded(text, LONGEST_TEXT)
}

fn bounded(text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    if !(1..=most).contains(&text.chars().count()) {
        return Err(format!("must have 1 to {most} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// An optional text of at most 60 characters; an empty one is none.
///
/// # Errors
/// What would be right.
pub fn optional_text(value: Option<&str>) -> Result<Option<String>, String> {
    optional(value, LONGEST_TEXT)
}

/// Why an operator does something: at most 200 characters; an empty reason is none.
///
/// # Errors
/// What would be right.
pub fn reason(text: &str) -> Result<Option<String>, String> {
    optional(Some(text), LONGEST_REASON)
}

fn optional(value: Option<&str>, most: usize) -> Result<Option<String>, String> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(value) => bounded(value, most)
            .map(Some)
            .map_err(|error| error.replace("1 to", "at most")),
    }
}

/// A currency.
///
/// # Errors
/// What would be right.
pub fn currency(text: &str) -> Result<Currency, String> {
    text.parse::<Currency>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_measured_in_characters() {
        assert_eq!(text("  pro "), Ok("pro".to_owned()));
        assert!(text(&"ä".repeat(60)).is_ok());
        for wrong in ["", "   ", &"ä".repeat(61), "a\u{0}b", "a\tb"] {
            assert!(text(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(optional_text(Some(" ")), Ok(None));
        assert_eq!(optional_text(None), Ok(None));
        assert_eq!(
            optional_text(Some(&"x".repeat(61))),
            Err("must have at most 60 characters".to_owned())
        );
    }

    #[test]
    fn a_choice_has_at_most_200_well_formed_slugs() {
        assert!(features(std::iter::empty()).is_ok());
        assert!(features(["lms"; 201].into_iter()).is_err());
        assert!(features(["lms"; 200].into_iter()).is_ok());
        assert!(features(["Not a slug"].into_iter()).is_err());
    }
}
