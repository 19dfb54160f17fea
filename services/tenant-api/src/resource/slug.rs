//! Slugs: made from a title or a name when they are left out, with -2, -3 … when taken.

use sea_orm::{ModelTrait, Value};

use super::{
    Field, Resource,
    spec::{Change, find_column},
};

/// The longest slug.
const LONGEST: usize = 80;
/// Fields that a slug is made from, the first that there is.
const SOURCES: [&str; 2] = ["title", "name"];

/// The slug that a row should get.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// Sent by the caller: this one or none.
    Sent(String),
    /// Made by us: this one or a numbered one.
    Made(String),
}

impl Wish {
    /// The slug without a number.
    #[must_use]
    pub fn text(&self) -> &str {
        let (Self::Sent(text) | Self::Made(text)) = self;
        text
    }

    /// The slug to take; `None` when the sent one is not free.
    #[must_use]
    pub fn settle(self, is_free: impl Fn(&str) -> bool) -> Option<String> {
        match self {
            Self::Sent(slug) => is_free(&slug).then_some(slug),
            Self::Made(slug) if is_free(&slug) => Some(slug),
            Self::Made(slug) => (2..).map(|n| numbered(&slug, n)).find(|slug| is_free(slug)),
        }
    }
}

fn numbered(slug: &str, n: u32) -> String {
    let end = format!("-{n}");
    let room = LONGEST - end.len();
    format!("{}{end}", slug[..slug.len().min(room)].trim_end_matches('-'))
}

/// The slug that a change asks for: the sent one unless the row has it already, or one made from the title of a new row.
#[must_use]
pub fn wish<R: Resource>(change: &Change<'_, R>) -> Option<(&'static Field, Wish)> {
    let field = R::SPEC.slug()?;
    if let Some(sent) = change.text(field.name) {
        let own = change.before.zip(find_column::<R>(field.name));
        let is_own = own.is_some_and(|(row, column)| row.get(column) == Value::from(sent));
        return (!is_own).then(|| (field, Wish::Sent(sent.to_owned())));
    }
    if !change.is_create() {
        return None;
    }
    let source = SOURCES
        .iter()
        .find_map(|source| change.text(source))
        .unwrap_or_default();
    Some((field, Wish::Made(from(source))))
}

/// A slug from a title: accents dropped, everything else that is no letter or digit becomes one dash.
#[must_use]
pub fn from(title: &str) -> String {
    let mut slug = String::new();
    for letter in title.chars().flat_map(char::to_lowercase) {
        match plain(letter) {
            Some(text) => slug.push_str(text),
            None if letter.is_ascii_alphanumeric() => slug.push(letter),
            None if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            None => {}
        }
    }
    slug.truncate(LONGEST - 8);
    let slug = slug.trim_matches('-');
    if slug.is_empty() {
        "item".to_owned()
    } else {
        slug.to_owned()
    }
}

/// Letters of Latin alphabets without their marks.
fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ő' => "o",
        'ö' | 'ø' | 'œ' => "oe",
        'ř' => "r",
        'ś' | 'š' | 'ş' => "s",
        'ß' => "ss",
        'ť' | 'ţ' => "t",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'þ' => "th",
        _ => return None,
    })
}

/// Whether a text from a path can be a slug at all.
#[must_use]
pub fn is_one(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// For a LIKE pattern; a slug has no other characters that mean something there.
#[must_use]
pub fn escape(slug: &str) -> String {
    slug.replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_the_titles_words() {
        assert_eq!(
            from("  Große Übung: 3 Äpfel & 1 œuf!  "),
            "grosse-uebung-3-aepfel-1-oeuf"
        );
        assert_eq!(from("日本"), "item");
        assert!(from(&"x".repeat(300)).len() <= LONGEST);
    }

    #[test]
    fn a_made_slug_is_numbered_and_a_sent_one_is_not() {
        assert_eq!(
            Wish::Made("lamp".into()).settle(|slug| !["lamp", "lamp-2"].contains(&slug)),
            Some("lamp-3".into())
        );
        assert_eq!(
            Wish::Made("lamp".into()).settle(|slug| slug != "lamp-2"),
            Some("lamp".into())
        );
        assert_eq!(Wish::Sent("lamp".into()).settle(|slug| slug != "lamp"), None);
        assert_eq!(numbered(&"x".repeat(80), 12).len(), LONGEST);
    }
}
