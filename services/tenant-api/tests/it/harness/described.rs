//! Holds the answers of all tests against the OpenAPI document: each has a status that its operation declares, and the
//! form that is declared for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use devstack::http::Answer;
use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};
use tenant_api::{http::Route, openapi};

/// The document of some routes.
pub struct Described {
    document: Value,
    /// Made when they are first needed, by operation and status.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
    held: AtomicU32,
}

/// So many answers are looked at in a test: some send ten thousand.
const ENOUGH: u32 = 1000;

impl Described {
    pub fn new(routes: &[Route]) -> Arc<Self> {
        Arc::new(Self {
            document: openapi::document(routes),
            validators: Mutex::default(),
            held: AtomicU32::new(0),
        })
    }

    /// Panics when an answer is not as the document says. Addresses that it does not know are passed over.
    #[track_caller]
    pub fn hold(&self, method: &Method, path: &str, answer: &Answer) {
        if self.held.fetch_add(1, Ordering::Relaxed) > ENOUGH {
            return;
        }
        let path = path.split('?').next().unwrap_or_default();
        let method = method.as_str().to_lowercase();
        let Some(operation) = self.find(path).and_then(|item| item.get(&method)) else {
            return;
        };
        let id = operation["operationId"].as_str().unwrap_or_default();
        let status = answer.status.as_u16();
        let declared = &operation["responses"][status.to_string()];
        assert!(
            declared.is_object(),
            "{id} does not declare {status}: {}",
            answer.text()
        );
        let declared = self.resolve(declared);
        if declared.get("content").is_none() {
            assert!(answer.body.is_empty(), "{id} does not declare what {status} holds");
            return;
        }
        let media = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
        let content = &declared["content"][media];
        assert!(content.is_object(), "{id} does not declare {media} for {status}");
        if media == "application/json" {
            let body: Value = answer.json();
            let validator = self.validator(&format!("{id} {status}"), &content["schema"]);
            let wrong: Vec<String> = validator
                .iter_errors(&body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(
                wrong.is_empty(),
                "{id} {status} is not as declared: {wrong:#?} in {body:#}"
            );
        }
    }

    /// The path whose template fits; of several the one with the most words of its own.
    fn find(&self, path: &str) -> Option<&Value> {
        let fits = |template: &str| {
            let (template, path) = (template.split('/'), path.split('/'));
            template.clone().count() == path.clone().count()
                && template
                    .zip(path)
                    .all(|(own, sent)| own.starts_with('{') || own == sent)
        };
        let paths = self.document["paths"].as_object()?;
        let fitting = paths.iter().filter(|(template, _)| fits(template));
        fitting
            .min_by_key(|(template, _)| template.matches('{').count())
            .map(|(_, item)| item)
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let reference = value.get("$ref").and_then(Value::as_str);
        reference.map_or(value, |reference| {
            self.document
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or_else(|| panic!("{reference} leads nowhere"))
        })
    }

    fn validator(&self, place: &str, schema: &Value) -> Arc<Validator> {
        let mut known = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(validator(&self.document, schema));
        Arc::clone(known.entry(place.to_owned()).or_insert_with(make))
    }
}

/// A validator for a schema of a document.
pub fn validator(document: &Value, schema: &Value) -> Validator {
    let schema = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("{error} in {schema:#}"))
}
