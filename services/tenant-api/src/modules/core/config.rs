//! What a page must know before anybody has signed in.

use modules::{CORE, MODULES, Module, NavItem};
use sea_orm::prelude::Uuid;
use serde_json::{Value, json};

use super::{settings::shown, users};
use crate::{
    http::{Answer, Call, Result, Route},
    resource::{Field, Kind, Shape, present, value},
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
    vec![Route::get("/config", "config", config).returns_fields(CONFIG)]
}

const CONFIG: &[Field] = &[
    Field::text("appName", "60").required(),
    Field::text("tagline", "140"),
    Field::currency("currency").required(),
    Field::text("timezone", "64").required(),
    Field::object("theme", &THEME).required(),
    Field::text("tier", "60").required(),
    Field::uuid("sessionId").required(),
    Field::array("features", &Kind::Text).required(),
    Field::array("ignoredFeatures", &Kind::Text).required(),
    Field::array("modules", &Kind::Object(&MODULE_INFO)).required(),
    Field::map("settings").required(),
    Field::timestamp("expiresAt").required(),
    Field::text("demoPassword", "72").required(),
    Field::array("demoAccounts", &Kind::Object(&DEMO_ACCOUNT)).required(),
];

const THEME: Shape = Shape::of(
    "Theme",
    &[
        Field::one_of("mode", &["light", "dark", "system"]).required(),
        Field::color("primaryColor").required(),
        Field::color("accentColor").required(),
        Field::text("logoUrl", "300"),
    ],
);

const MODULE_INFO: Shape = Shape::of(
    "ModuleInfo",
    &[
        Field::text("module", "20").required(),
        Field::text("title", "60").required(),
        Field::text("label", "40").required(),
        Field::text("icon", "40").required(),
        Field::text("path", "120").required(),
        Field::array("items", &Kind::Object(&NAV_ITEM)).required(),
    ],
);

const NAV_ITEM: Shape = Shape::of(
    "NavItem",
    &[
        Field::text("label", "40").required(),
        Field::text("path", "120").required(),
        Field::text("feature", "60").required(),
        Field::text("who", "60").required(),
    ],
);

const DEMO_ACCOUNT: Shape = Shape::of(
    "DemoAccount",
    &[
        Field::email("email").required(),
        Field::text("name", "80").required(),
        Field::one_of("role", users::ROLES).required(),
    ],
);

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

/// A [`MODULE_INFO`].
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
