//! Features, navigation and settings are the contract's, word for word.

use crate::contracts;
use anyhow::Result;
use modules::{MODULES, Preset, Setting, SettingKind};
use serde_json::{Value, json};
use testkit::contract::Field;

#[test]
fn every_module_has_the_contracts_titles_and_features() -> Result<()> {
    for (module, contract) in MODULES.iter().zip(contracts()?) {
        assert_eq!(
            (module.id, module.title, module.prefix),
            (&*contract.module, &*contract.title, &*contract.prefix)
        );
        assert_eq!(module.features.len(), contract.features.len(), "{}", module.id);
        for (ours, theirs) in module.features.iter().zip(&contract.features) {
            assert_eq!(
                (ours.slug, ours.title, ours.always),
                (&*theirs.slug, &*theirs.title, theirs.always)
            );
            assert_eq!(ours.requires, theirs.requires, "{}", ours.slug);
            assert_eq!(ours.prefixes, theirs.prefixes, "{}", ours.slug);
        }
    }
    Ok(())
}

#[test]
fn every_module_has_the_contracts_navigation() -> Result<()> {
    for (module, contract) in MODULES.iter().zip(contracts()?) {
        let (ours, theirs) = (&module.nav, contract.nav);
        assert_eq!(
            (ours.label, ours.icon, ours.path),
            (&*theirs.label, &*theirs.icon, &*theirs.path)
        );
        let items: Vec<_> = ours
            .items
            .iter()
            .map(|i| [i.label, i.path, i.feature, i.who].map(str::to_owned))
            .collect();
        let expected: Vec<_> = theirs
            .items
            .into_iter()
            .map(|i| [i.label, i.path, i.feature, i.who])
            .collect();
        assert_eq!(items, expected, "{}", module.id);
    }
    Ok(())
}

#[test]
fn every_module_has_the_contracts_settings() -> Result<()> {
    for (module, contract) in MODULES.iter().zip(contracts()?) {
        let ours: Vec<_> = module.settings.iter().map(described).collect();
        let theirs: Vec<_> = contract.settings.iter().map(expected).collect();
        assert_eq!(ours, theirs, "{}", module.id);
    }
    Ok(())
}

#[test]
fn journals_are_the_contracts() -> Result<()> {
    for (module, contract) in MODULES.iter().zip(contracts()?) {
        let expected: Vec<_> = contract
            .resources
            .into_iter()
            .filter(|r| r.journal)
            .filter_map(|r| r.table)
            .collect();
        assert_eq!(module.journals, expected, "{}", module.id);
    }
    Ok(())
}

#[test]
fn what_a_feature_requires_and_what_navigation_shows_exists() {
    for module in MODULES {
        for slug in module
            .features
            .iter()
            .flat_map(|f| f.requires)
            .chain(module.nav.items.iter().map(|i| &i.feature))
        {
            assert!(modules::feature(slug).is_some(), "{slug} of {}", module.id);
        }
    }
}

fn expected(field: &Field) -> Value {
    json!({
        "key": field.name,
        "type": field.kind,
        "default": field.default,
        "public": field.public,
        "readOnly": field.read_only,
        "nullable": field.nullable,
        "values": field.values,
        "scale": field.scale,
        "min": field.min,
        "max": field.max,
        "ref": field.target,
    })
}

/// A setting in the contract's words.
fn described(setting: &Setting) -> Value {
    let no_values: &[&str] = &[];
    let none = Value::Null;
    let (kind, values, scale, min, max, target) = match setting.kind {
        SettingKind::Text { max } => ("text", no_values, none.clone(), none.clone(), json!(max), none),
        SettingKind::Email => ("email", no_values, none.clone(), none.clone(), none.clone(), none),
        SettingKind::Color => ("color", no_values, none.clone(), none.clone(), none.clone(), none),
        SettingKind::Currency => ("currency", no_values, none.clone(), none.clone(), none.clone(), none),
        SettingKind::Enum(values) => ("enum", values, none.clone(), none.clone(), none.clone(), none),
        SettingKind::Bool => ("bool", no_values, none.clone(), none.clone(), none.clone(), none),
        SettingKind::Int { min, max } => ("int", no_values, none.clone(), json!(min), json!(max), none),
        SettingKind::Decimal { scale, min, max } => ("decimal", no_values, json!(scale), json!(min), json!(max), none),
        SettingKind::Money => ("money", no_values, none.clone(), json!(0), none.clone(), none),
        SettingKind::Upload => ("ref", no_values, none.clone(), none.clone(), none, json!("uploads")),
        SettingKind::Texts { min, max } => ("array", no_values, none.clone(), json!(min), json!(max), none),
    };
    let default = match setting.default {
        Preset::Null => Value::Null,
        preset => preset.to_json(),
    };
    json!({
        "key": setting.key,
        "type": kind,
        "default": default,
        "public": setting.public,
        "readOnly": setting.read_only,
        "nullable": setting.nullable,
        "values": values,
        "scale": scale,
        "min": min,
        "max": max,
        "ref": target,
    })
}
