//! The contract's files (`docs/contract/*.yaml`, README section 13), for tests that hold the code to them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use devstack::checkout::Checkout;
use serde::Deserialize;
use serde_json::Value;

/// One module.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Contract {
    pub module: String,
    pub prefix: String,
    pub title: String,
    pub nav: Nav,
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    pub features: Vec<Feature>,
    #[serde(default)]
    pub errors: Vec<ErrorCode>,
    #[serde(default)]
    pub shapes: BTreeMap<String, Vec<Field>>,
    pub settings: Vec<Field>,
    #[serde(default)]
    pub search: Vec<Searched>,
    pub resources: Vec<Resource>,
    pub seed: Seed,
    pub dashboard: Option<Dashboard>,
}

/// A resource that the search finds rows in.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Searched {
    pub resource: String,
    pub title: String,
    pub path: String,
}

/// A module's block on the admin's page.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Dashboard {
    pub figures: Vec<Figure>,
    pub chart: Chart,
}

/// A number of a dashboard.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Figure {
    pub key: String,
    pub label: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A chart of a dashboard.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Chart {
    pub key: String,
    pub label: String,
    pub kind: String,
    #[serde(rename = "type")]
    pub values: String,
    pub points: usize,
}

/// A module's part of the menu.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Nav {
    pub label: String,
    pub icon: String,
    pub path: String,
    pub items: Vec<NavItem>,
}

/// An entry of the menu.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct NavItem {
    pub label: String,
    pub path: String,
    pub feature: String,
    pub who: String,
}

/// What a session can be granted.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Feature {
    pub slug: String,
    pub title: String,
    pub requires: Vec<String>,
    pub prefixes: Vec<String>,
    #[serde(default)]
    pub always: bool,
}

/// A role that the module gives to people.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Role {
    pub scope: String,
}

/// A code that clients branch on.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct ErrorCode {
    pub code: String,
    pub status: u16,
}

/// A table with its routes, or routes without a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Resource {
    pub name: String,
    pub kind: String,
    pub feature: String,
    #[serde(default)]
    pub path: String,
    pub table: Option<String>,
    pub owner: Option<String>,
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
    #[serde(default)]
    pub list: ListRules,
    #[serde(default)]
    pub operations: BTreeMap<String, Words>,
    #[serde(default)]
    pub inputs: Vec<Field>,
    pub visibility: Option<String>,
    #[serde(default)]
    pub computed: Vec<Field>,
    #[serde(default)]
    pub embeds: Vec<Embed>,
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// A unique constraint over several columns.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Unique {
    pub columns: Vec<String>,
    #[serde(rename = "where")]
    pub condition: Option<String>,
}

/// How a resource is listed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the files")]
pub struct ListRules {
    #[serde(default)]
    pub filters: Vec<String>,
    #[serde(default)]
    pub ranges: Vec<String>,
    #[serde(default)]
    pub params: Vec<Field>,
    #[serde(default)]
    pub sort: Vec<String>,
    pub default_sort: Option<String>,
    #[serde(default)]
    pub search: Vec<String>,
}

/// Rows that are shown within others.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Embed {
    pub name: String,
    pub resource: Option<String>,
    pub shape: Option<String>,
    #[serde(default)]
    pub many: bool,
    #[serde(default)]
    pub in_list: bool,
}

/// A route besides the standard operations.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Action {
    pub name: String,
    pub method: String,
    pub path: String,
    pub who: Words,
    pub status: Option<u16>,
    #[serde(default)]
    pub idempotent: bool,
    #[serde(default)]
    pub query: Vec<Field>,
    #[serde(default)]
    pub body: Vec<Field>,
    pub returns: Returns,
}

/// What an action answers with: one of these.
#[derive(Debug, Clone, Default, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Returns {
    pub resource: Option<String>,
    pub list: Option<String>,
    pub shape: Option<String>,
    pub array: Option<String>,
    pub fields: Option<Vec<Field>>,
    pub id: Option<Value>,
    pub binary: Option<String>,
}

/// One word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Words {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}

/// A column, a field of a body, a parameter, or a setting: those have a key in place of a name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the files")]
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
    #[serde(default)]
    pub nullable: bool,
    pub default: Option<Value>,
    pub write: Option<String>,
    pub read: Option<String>,
    pub scale: Option<u32>,
    pub min: Option<Value>,
    pub max: Option<Value>,
    pub pattern: Option<String>,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(rename = "ref")]
    pub target: Option<String>,
    pub on_delete: Option<String>,
    pub shape: Option<String>,
    pub items: Option<String>,
    #[serde(default)]
    pub ops: Vec<String>,
    pub note: Option<String>,
}

impl Field {
    /// Whether a row may hold null there.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        !(self.required || self.filled || self.default.is_some() || self.kind == "slug")
    }

    /// Whether the field is never in a body.
    #[must_use]
    pub fn is_by_server(&self) -> bool {
        self.write.as_deref() == Some("server")
    }
}

/// Demo data.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Seed {
    pub counts: BTreeMap<String, i64>,
    pub fixed: Vec<Fixed>,
}

/// A row that every fresh session has.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "named as in the files")]
pub struct Fixed {
    pub table: String,
    pub values: BTreeMap<String, Value>,
}

impl Contract {
    /// The file of a module.
    ///
    /// # Errors
    /// When it is not there, or not written as README section 13 says.
    pub fn read(module: &str) -> Result<Self> {
        let folder = Checkout::find()?.root().join("docs/contract");
        let file = folder.join(module).with_extension("yaml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
    }

    /// A resource by its name.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }
}

/// The column of a field.
#[must_use]
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
