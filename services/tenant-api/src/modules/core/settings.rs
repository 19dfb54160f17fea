//! Settings: read by everybody as far as they are public, changed by admins.

use fault::Fault;
use serde_json::{Map, Value, json};

use crate::{
    http::{Answer, Call, Result, Route, Who, answer::Subject},
    resource::Field,
    settings::{self, Settings},
};

/// Its routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const SETTINGS: &[Field] = &[Field::map("settings").required()];
    vec![
        Route::get("/settings", "read", read).returns_fields(SETTINGS),
        Route::patch("/settings", "change", change)
            .who(&[Who::Admin])
            .body(SETTINGS)
            .returns_fields(SETTINGS),
    ]
}

async fn read(call: Call) -> Result<Answer> {
    let settings = Settings::load(&call).await?;
    Ok(Answer::data(
        json!({ "settings": shown(&call, &settings, call.is_staff()) }),
    ))
}

/// The settings of core and granted modules: all of them, or the public ones.
pub fn shown(call: &Call, settings: &Settings, all: bool) -> Map<String, Value> {
    settings::granted(call)
        .filter(|setting| all || setting.public)
        .map(|setting| (setting.key.to_owned(), settings.value(setting.key)))
        .collect()
}

async fn change(call: Call) -> Result<Answer> {
    let Some(Value::Object(sent)) = call.body().get("settings") else {
        return Err(Fault::field("settings", "must be an object").into());
    };
    let known: Vec<_> = settings::granted(&call).collect();
    let find = |name: &str| known.iter().copied().find(|setting| setting.key == name);
    let (settings, changes) = settings::change(&call, sent, "settings.", find).await?;
    let subject = Subject {
        changes: (!changes.is_empty()).then_some(Value::Object(changes)),
        ..Subject::default()
    };
    Ok(Answer::data(json!({ "settings": shown(&call, &settings, true) })).about(subject))
}
