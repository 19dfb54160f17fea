//! Search over everything that the caller may see.

use std::collections::BTreeSet;

use fault::{Detail, Fault};
use serde_json::json;

use crate::{
    http::{Answer, Call, Result, Route},
    modules::{PARTS, Part},
    resource::{Field, Kind, select::words},
    search::{GROUP, groups},
};

/// Its routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const QUERY: &[Field] = &[
        Field::text("q", "100").required().min("2"),
        Field::text("modules", "100"),
        Field::int("limit").default("5").min("1").max("20"),
    ];
    const FOUND: &[Field] = &[
        Field::text("query", "100").required(),
        Field::array("groups", &Kind::Object(&GROUP)).required(),
    ];
    vec![
        Route::get("/search", "search", search)
            .query(QUERY)
            .returns_fields(FOUND),
    ]
}

async fn search(call: Call) -> Result<Answer> {
    let asked = call.query().checked(call.route().query)?;
    let text = |name: &str| asked.get(name).and_then(serde_json::Value::as_str);
    let q = text("q").unwrap_or_default();
    let limit = asked.get("limit").and_then(serde_json::Value::as_u64).unwrap_or(5);
    let mut details = Vec::new();
    let words = words(Some(q), &mut details);
    let wanted: Option<BTreeSet<&str>> = text("modules").map(|names| names.split(',').map(str::trim).collect());
    let unknown = wanted.iter().flatten().find(|name| modules::module(name).is_none());
    details.extend(unknown.map(|name| Detail::new("modules", format!("{name} is no module"))));
    if !details.is_empty() {
        return Err(Fault::invalid(details).into());
    }
    let is_wanted = |part: &&Part| wanted.as_ref().is_none_or(|wanted| wanted.contains(part.id));
    let searched: Vec<_> = PARTS
        .iter()
        .filter(is_wanted)
        .flat_map(|part| part.search.iter().map(|searched| (part.id, searched)))
        .filter(|(_, searched)| searched.is_open(&call))
        .collect();
    let groups = groups(&call, &searched, &words, limit).await?;
    Ok(Answer::data(json!({"query": q, "groups": groups})))
}
