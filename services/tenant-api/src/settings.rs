//! The settings of a session: what the modules preset, overlaid with what its admins stored.

use std::sync::Arc;

use modules::{MODULES, Setting};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Map, Value};

use crate::http::{Call, Result};

/// Fixed when the session starts; never stored.
const CURRENCY: &str = "app.currency";

/// All settings as they are now, those of modules that are not granted too: rules run in full. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Settings(Arc<Map<String, Value>>);

impl Settings {
    /// Reads them, in one statement for each request.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn load(call: &Call) -> Result<Self> {
        if let Some(settings) = call.settings().get() {
            return Ok(settings.clone());
        }
        let mut values = presets(&call.tenant().currency);
        let sql = Statement::from_string(DbBackend::Postgres, "SELECT key, value FROM settings");
        for row in call.tx().query_all_raw(sql).await? {
            let key: String = row.try_get("", "key")?;
            // A key that the modules have dropped since it was stored is passed over.
            if let Some(value) = values.get_mut(&key).filter(|_| key != CURRENCY) {
                *value = row.try_get("", "value")?;
            }
        }
        let settings = Self(Arc::new(values));
        let _ = call.settings().set(settings.clone());
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
