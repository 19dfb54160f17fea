//! The settings of a session: what the modules preset, overlaid with what its admins stored.

use std::{str::FromStr, sync::Arc};

use fault::{Detail, Fault};
use modules::{MODULES, Setting, SettingKind};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    http::{Call, Result},
    resource::{Field, Kind, present, value},
};

/// Fixed when the session starts; never stored.
const CURRENCY: &str = "app.currency";

/// All settings as they are now, those of modules that are not granted too: rules run in full. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Settings(Arc<Map<String, Value>>);

impl Settings {
    /// What was stored of them, as a column of any statement.
    pub const STORED: &'static str = "(SELECT json_object_agg(key, value) FROM settings)";

    /// All of them, from [`Self::STORED`].
    #[must_use]
    pub fn of(currency: &str, stored: Option<Value>) -> Self {
        let mut values = presets(currency);
        let stored = match stored {
            Some(Value::Object(stored)) => stored,
            _ => Map::new(),
        };
        for (key, stored) in stored {
            // A key that the modules have dropped since it was stored is passed over.
            if let Some(value) = values.get_mut(&key).filter(|_| key != CURRENCY) {
                *value = stored;
            }
        }
        Self(Arc::new(values))
    }

    /// Reads them, once for each request; with whoever signed in when the request writes.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn load(call: &Call) -> Result<Self> {
        if let Some(settings) = call.recall() {
            return Ok(settings);
        }
        let row = call.row(&format!("SELECT {} AS stored", Self::STORED), []).await?;
        let stored = row.map_or(Ok(None), |row| row.try_get("", "stored"))?;
        let settings = Self::of(&call.tenant().currency, stored);
        call.remember(settings.clone());
        Ok(settings)
    }

    /// A setting's value; null for a key that no module knows.
    #[must_use]
    pub fn value(&self, key: &str) -> Value {
        self.0.get(key).cloned().unwrap_or(Value::Null)
    }

    /// A setting that holds a text.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A setting that holds a decimal or an amount.
    #[must_use]
    pub fn decimal(&self, key: &str) -> Option<Decimal> {
        self.0.get(key)?.as_str()?.parse().ok()
    }

    /// A setting that holds a whole number.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i64> {
        self.0.get(key)?.as_i64()
    }

    /// A setting that is on or off.
    #[must_use]
    pub fn bool(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or_default()
    }
}

fn presets(currency: &str) -> Map<String, Value> {
    let known = MODULES.iter().flat_map(|module| module.settings);
    let mut values: Map<String, Value> = known
        .map(|setting| (setting.key.to_owned(), setting.default.to_json()))
        .collect();
    values.insert(CURRENCY.to_owned(), currency.into());
    values
}

/// The settings of core and of the modules that a session was granted, in the modules' order.
pub fn granted(call: &Call) -> impl Iterator<Item = &'static Setting> + use<> {
    let enabled = call.tenant().enabled.clone();
    MODULES
        .iter()
        .enumerate()
        .filter(move |(i, module)| {
            *i == 0
                || module
                    .features
                    .iter()
                    .any(|feature| enabled.iter().any(|slug| slug == feature.slug))
        })
        .flat_map(|(_, module)| module.settings)
}

/// Changes settings: `sent` names fields, which `find` turns into settings, and null returns one to its preset. One bad
/// field refuses all, named with `prefix` before it. Returns all settings as they are then, and what changed, as
/// `[before, after]` by key.
///
/// # Errors
/// 422 with all mistakes.
pub async fn change(
    call: &Call,
    sent: &Map<String, Value>,
    prefix: &str,
    find: impl Fn(&str) -> Option<&'static Setting>,
) -> Result<(Settings, Map<String, Value>)> {
    let mut details = Vec::new();
    let mut kept: Vec<Kept> = Vec::new();
    for (name, sent) in sent {
        let path = format!("{prefix}{}", value::shown(name));
        match find(name) {
            None => details.push(Detail::new(path, "is not a known setting")),
            Some(setting) if setting.read_only => details.push(Detail::new(path, "cannot be changed")),
            Some(setting) => {
                if let Some(value) = check(setting, sent.clone(), &path, &mut details) {
                    kept.push((setting, value));
                }
            }
        }
    }
    check_uploads(call, prefix, sent, &kept, &mut details).await?;
    if !details.is_empty() {
        return Err(Fault::invalid(details).into());
    }
    let before = Settings::load(call).await?;
    store(call, &kept).await?;
    let mut after = (*before.0).clone();
    let mut changes = Map::new();
    for (setting, value) in kept {
        let value = value.unwrap_or_else(|| setting.default.to_json());
        let old = before.value(setting.key);
        if old != value {
            changes.insert(setting.key.to_owned(), json!([old, value]));
        }
        after.insert(setting.key.to_owned(), value);
    }
    Ok((Settings(Arc::new(after)), changes))
}

/// A setting with the value that it will have; `None` brings the preset back.
type Kept = (&'static Setting, Option<Value>);

/// A value in the form that is kept, `None` inside for the preset.
fn check(setting: &Setting, sent: Value, path: &str, details: &mut Vec<Detail>) -> Option<Option<Value>> {
    if sent.is_null() {
        return Some(setting.nullable.then_some(Value::Null));
    }
    let field = match setting.kind {
        SettingKind::Text { .. } => Field::text("", "10000"),
        SettingKind::Email => Field::email(""),
        SettingKind::Color => Field::color(""),
        SettingKind::Currency => Field::currency(""),
        SettingKind::Enum(words) => Field::one_of("", words),
        SettingKind::Bool => Field::bool(""),
        SettingKind::Int { .. } => Field::int(""),
        SettingKind::Decimal { scale, .. } => Field::decimal("", scale),
        SettingKind::Money => Field::money("").min("0"),
        SettingKind::Upload => Field::reference("", "uploads"),
        SettingKind::Texts { .. } => Field::array("", &Kind::Text),
    };
    let value = value::normalise(&field.filled(), sent, path, details)?;
    let must = match setting.kind {
        SettingKind::Text { max } if text(&value).chars().count() > max => {
            Some(format!("must have at most {max} characters"))
        }
        SettingKind::Text { .. } if setting.key == "app.timezone" && chrono_tz::Tz::from_str(text(&value)).is_err() => {
            Some("must be a zone of the IANA database, such as Europe/Berlin".to_owned())
        }
        SettingKind::Int { min, max } if !value.as_i64().is_some_and(|n| (min..=max).contains(&n)) => {
            Some(format!("must be from {min} to {max}"))
        }
        SettingKind::Decimal { min, max, .. }
            if !Decimal::from_str(text(&value)).is_ok_and(|n| n >= Decimal::from(min) && n <= Decimal::from(max)) =>
        {
            Some(format!("must be from {min} to {max}"))
        }
        SettingKind::Texts { min, max } if !value.as_array().is_some_and(|all| (min..=max).contains(&all.len())) => {
            Some(format!("must have {min} to {max} items"))
        }
        SettingKind::Text { .. }
        | SettingKind::Email
        | SettingKind::Color
        | SettingKind::Currency
        | SettingKind::Enum(_)
        | SettingKind::Bool
        | SettingKind::Int { .. }
        | SettingKind::Decimal { .. }
        | SettingKind::Money
        | SettingKind::Upload
        | SettingKind::Texts { .. } => None,
    };
    match must {
        Some(must) => {
            details.push(Detail::new(path, must));
            None
        }
        None => Some(Some(value)),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Files that settings name must exist.
async fn check_uploads(
    call: &Call,
    prefix: &str,
    sent: &Map<String, Value>,
    kept: &[Kept],
    details: &mut Vec<Detail>,
) -> Result<()> {
    let named: Vec<(&Setting, Uuid)> = kept
        .iter()
        .filter(|(setting, _)| setting.kind == SettingKind::Upload)
        .filter_map(|(setting, value)| Some((*setting, text(value.as_ref()?).parse().ok()?)))
        .collect();
    let ids: Vec<Uuid> = named.iter().map(|(_, id)| *id).collect();
    let there = present::addresses(call, &ids).await?;
    for (setting, _) in named.iter().filter(|(_, id)| !there.contains_key(id)) {
        // The field is named as it was sent: `theme.logoId` here, `logoId` under a module's own settings.
        let name = sent.keys().find(|name| setting.key.ends_with(name.as_str()));
        let name = name.map_or(setting.key, String::as_str);
        details.push(Detail::new(
            format!("{prefix}{name}"),
            "names a file that does not exist",
        ));
    }
    Ok(())
}

/// Stores values, and takes away the rows of those that return to their preset.
async fn store(call: &Call, kept: &[Kept]) -> Result<()> {
    let by = call.caller().map(|caller| caller.id);
    let mut sql = String::from("INSERT INTO settings (id, key, value, updated_by_id) VALUES ");
    let mut values: Vec<sea_orm::Value> = vec![by.into(), call.now().into()];
    let mut preset: Vec<sea_orm::Value> = Vec::new();
    for (setting, value) in kept {
        let Some(value) = value else {
            preset.push(setting.key.into());
            continue;
        };
        let comma = if values.len() == 2 { "" } else { ", " };
        let n = values.len();
        sql.push_str(&format!("{comma}(${}, ${}, ${}, $1)", n + 1, n + 2, n + 3));
        values.extend([Uuid::now_v7().into(), setting.key.into(), value.clone().into()]);
    }
    if values.len() > 2 {
        sql.push_str(
            " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, updated_by_id = EXCLUDED.updated_by_id, \
             updated_at = $2",
        );
        call.run(&sql, values).await?;
    }
    if !preset.is_empty() {
        let holes: Vec<String> = (1..=preset.len()).map(|n| format!("${n}")).collect();
        let sql = format!("DELETE FROM settings WHERE key IN ({})", holes.join(", "));
        call.run(&sql, preset).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_stand_in_for_what_nobody_stored_and_the_currency_is_the_sessions() {
        let settings = Settings(Arc::new(presets("EUR")));
        assert_eq!(settings.text("app.currency"), "EUR");
        assert_eq!(settings.decimal("orders.taxRate"), Some(Decimal::new(800, 2)));
        assert!(settings.bool("auth.allowRegistration"));
        assert_eq!(settings.value("theme.logoId"), Value::Null);
        assert_eq!(settings.value("no.such.key"), Value::Null);
    }
}
