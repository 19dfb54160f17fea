//! What a page must know before anybody has signed in.

use modules::{CORE, MODULES, Module, NavItem};
use sea_orm::prelude::Uuid;
use serde_json::{Value, json};

use super::settings::shown;
use crate::{
    http::{Answer, Call, Result, Route},
    resource::{present, value},
    settings::Settings,
};

/// The password of all sample accounts (contract README section 8).
const DEMO_PASSWORD: &str = "Preview123!";
/// The sample accounts, in the contract's order.
const DEMO_ACCOUNTS: [&str; 6] = [
    "admin@preview.local",
    "mira.solberg@preview.local",
    "tomas.reyes@preview.local",
    "aiko.tanabe@preview.local",
    "noah.okafor@preview.local",
    "lena.brandt@preview.local",
];

/// Its route.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![Route::get("/config", "config", config)]
}

async fn config(call: Call) -> Result<Answer> {
    let settings = Settings::load(&call).await?;
    let tenant = call.tenant();
    let logo = settings.text("theme.logoId").parse::<Uuid>().ok();
    let addresses = present::addresses(&call, logo.as_slice()).await?;
    let is_granted = |slug: &str| tenant.enabled.iter().any(|enabled| enabled == slug);
    let modules: Vec<Value> = MODULES
        .iter()
        .filter(|module| module.id == CORE.id || module.features.iter().any(|feature| is_granted(feature.slug)))
        .map(|module| described(module, &is_granted))
        .collect();
    Ok(Answer::data(json!({
        "appName": settings.text("app.name"),
        "tagline": settings.value("app.tagline"),
        "currency": tenant.currency,
        "timezone": settings.text("app.timezone"),
        "theme": {
            "mode": settings.value("theme.mode"),
            "primaryColor": settings.value("theme.primaryColor"),
            "accentColor": settings.value("theme.accentColor"),
            "logoUrl": logo.and_then(|id| addresses.get(&id)),
        },
        "tier": tenant.tier,
        "sessionId": tenant.session.to_string(),
        "features": tenant.enabled,
        "ignoredFeatures": tenant.ignored,
        "modules": modules,
        "settings": shown(&call, &settings, false),
        "expiresAt": value::instant(tenant.expires_at),
        "demoPassword": DEMO_PASSWORD,
        "demoAccounts": demo_accounts(&call).await?,
    })))
}

/// A `ModuleInfo`.
fn described(module: &Module, is_granted: &impl Fn(&str) -> bool) -> Value {
    let is_open =
        |item: &&NavItem| modules::feature(item.feature).is_some_and(|f| f.always) || is_granted(item.feature);
    let items: Vec<Value> = module
        .nav
        .items
        .iter()
        .filter(is_open)
        .map(|item| json!({ "label": item.label, "path": item.path, "feature": item.feature, "who": item.who }))
        .collect();
    json!({
        "module": module.id,
        "title": module.title,
        "label": module.nav.label,
        "icon": module.nav.icon,
        "path": module.nav.path,
        "items": items,
    })
}

/// The sample accounts that can still be used, as they are now.
async fn demo_accounts(call: &Call) -> Result<Vec<Value>> {
    let holes: Vec<String> = (1..=DEMO_ACCOUNTS.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT email, name, role FROM users WHERE status = 'active' AND email IN ({})",
        holes.join(", ")
    );
    let mut accounts = Vec::new();
    for row in call.rows(&sql, DEMO_ACCOUNTS.map(Into::into)).await? {
        let email: String = row.try_get("", "email")?;
        let place = DEMO_ACCOUNTS.iter().position(|known| *known == email);
        let account = json!({
            "email": email,
            "name": row.try_get::<String>("", "name")?,
            "role": row.try_get::<String>("", "role")?,
        });
        accounts.push((place, account));
    }
    accounts.sort_by_key(|(place, _)| *place);
    Ok(accounts.into_iter().map(|(_, account)| account).collect())
}
