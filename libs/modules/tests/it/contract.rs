//! The contract's files as far as these tests look at them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Contract {
    pub module: String,
    pub prefix: String,
    pub title: String,
    pub nav: Nav,
    pub features: Vec<Feature>,
    pub settings: Vec<Field>,
    pub resources: Vec<Resource>,
    pub seed: Seed,
}

#[derive(Deserialize)]
pub struct Nav {
    pub label: String,
    pub icon: String,
    pub path: String,
    pub items: Vec<NavItem>,
}

#[derive(Deserialize)]
pub struct NavItem {
    pub label: String,
    pub path: String,
    pub feature: String,
    pub who: String,
}

#[derive(Deserialize)]
pub struct Feature {
    pub slug: String,
    pub title: String,
    pub requires: Vec<String>,
    pub prefixes: Vec<String>,
    #[serde(default)]
    pub always: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub table: Option<String>,
    #[serde(default)]
    pub journal: bool,
    #[serde(default)]
    pub versioned: bool,
    #[serde(default)]
    pub fields: Vec<Field>,
    #[serde(default)]
    pub unique: Vec<Unique>,
    #[serde(default)]
    pub indexes: Vec<Vec<String>>,
    #[serde(default)]
    pub checks: Vec<String>,
}

#[derive(Deserialize)]
pub struct Unique {
    pub columns: Vec<String>,
    #[serde(rename = "where")]
    pub condition: Option<String>,
}

/// A column, or a setting: those have a key in place of a name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    #[serde(alias = "key")]
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub filled: bool,
    #[serde(default)]
    pub unique: bool,
    #[serde(default)]
    pub public: bool,
    #[serde(default)]
    pub read_only: bool,
    pub default: Option<Value>,
    pub scale: Option<u32>,
    pub min: Option<Value>,
    pub max: Option<Value>,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(rename = "ref")]
    pub target: Option<String>,
    pub on_delete: Option<String>,
}

#[derive(Deserialize)]
pub struct Seed {
    pub counts: BTreeMap<String, i64>,
    pub fixed: Vec<Fixed>,
}

#[derive(Deserialize)]
pub struct Fixed {
    pub table: String,
    pub values: BTreeMap<String, Value>,
}

impl Contract {
    pub fn read(module: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contract");
        let file = folder.join(module).with_extension("yaml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
    }

    pub fn all() -> Result<Vec<Self>> {
        modules::MODULES.iter().map(|module| Self::read(module.id)).collect()
    }
}

/// The column of a field.
pub fn snake(name: &str) -> String {
    let mut column = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(c.to_ascii_lowercase());
    }
    column
}
