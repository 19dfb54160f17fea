//! Settings that a module knows: type, limits, default, who may read them.

use serde_json::Value;

/// One key of the table `settings`. Stored rows overlay the defaults; other keys are refused.
#[derive(Debug)]
pub struct Setting {
    /// `<module or topic>.<name>`.
    pub key: &'static str,
    /// Its type with the limits.
    pub kind: SettingKind,
    /// The value as long as nobody stored one.
    pub default: Preset,
    /// Readable by everybody; else by staff only.
    pub public: bool,
    /// Fixed when the session starts.
    pub read_only: bool,
    /// Null is a value of its own, and does not bring the default back.
    pub nullable: bool,
}

/// Type and limits of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A string of at most `max` code points.
    Text {
        /// Code points.
        max: usize,
    },
    /// An e-mail address.
    Email,
    /// `#rrggbb`.
    Color,
    /// An ISO 4217 code.
    Currency,
    /// One of these strings.
    Enum(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number within inclusive limits.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A decimal string padded to `scale` digits, within inclusive limits.
    Decimal {
        /// Digits after the point.
        scale: u32,
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A money string of at least 0.
    Money,
    /// The id of an upload, or null.
    Upload,
    /// A list of strings.
    Texts {
        /// Fewest entries.
        min: usize,
        /// Most entries.
        max: usize,
    },
}

/// A default that can stand in a `static`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string; decimals and money too.
    Text(&'static str),
    /// A list of strings.
    Texts(&'static [&'static str]),
}

impl Preset {
    /// The value as the API shows it.
    pub fn to_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::Texts(values) => values.into(),
        }
    }
}

impl Setting {
    const fn new(key: &'static str, kind: SettingKind, default: Preset) -> Self {
        Self {
            key,
            kind,
            default,
            public: false,
            read_only: false,
            nullable: false,
        }
    }

    pub(crate) const fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub(crate) const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    pub(crate) const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

pub(crate) const fn text(key: &'static str, default: &'static str, max: usize) -> Setting {
    Setting::new(key, SettingKind::Text { max }, Preset::Text(default))
}

pub(crate) const fn email(key: &'static str, default: &'static str) -> Setting {
    Setting::new(key, SettingKind::Email, Preset::Text(default))
}

pub(crate) const fn color(key: &'static str, default: &'static str) -> Setting {
    Setting::new(key, SettingKind::Color, Preset::Text(default))
}

pub(crate) const fn currency(key: &'static str, default: &'static str) -> Setting {
    Setting::new(key, SettingKind::Currency, Preset::Text(default))
}

pub(crate) const fn one_of(key: &'static str, default: &'static str, values: &'static [&'static str]) -> Setting {
    Setting::new(key, SettingKind::Enum(values), Preset::Text(default))
}

pub(crate) const fn switch(key: &'static str, default: bool) -> Setting {
    Setting::new(key, SettingKind::Bool, Preset::Bool(default))
}

pub(crate) const fn int(key: &'static str, default: i64, min: i64, max: i64) -> Setting {
    Setting::new(key, SettingKind::Int { min, max }, Preset::Int(default))
}

pub(crate) const fn decimal(key: &'static str, default: &'static str, scale: u32, min: i64, max: i64) -> Setting {
    Setting::new(key, SettingKind::Decimal { scale, min, max }, Preset::Text(default))
}

pub(crate) const fn money(key: &'static str, default: &'static str) -> Setting {
    Setting::new(key, SettingKind::Money, Preset::Text(default))
}

pub(crate) const fn upload(key: &'static str) -> Setting {
    Setting::new(key, SettingKind::Upload, Preset::Null)
}

pub(crate) const fn texts(key: &'static str, default: &'static [&'static str], min: usize, max: usize) -> Setting {
    Setting::new(key, SettingKind::Texts { min, max }, Preset::Texts(default))
}
