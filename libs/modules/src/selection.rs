//! What a session's feature slugs open. One function for both planes, so that they cannot disagree.

use std::collections::BTreeSet;

use crate::{Feature, MODULES, Module, feature, module};

/// Longest slug, in bytes.
const MAX_SLUG: usize = 80;

/// Feature slugs, sorted out.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The chosen slugs that the catalogue knows; sorted, without repeats.
    pub selected: Vec<String>,
    /// Well-formed slugs that it does not know: they gate nothing; sorted, without repeats.
    pub ignored: Vec<String>,
    /// The chosen features with everything that they require, a module's slug spelled out; sorted.
    /// What is always on is in here only when it was chosen.
    pub enabled: Vec<&'static str>,
    /// The modules of the enabled features in the order of [`MODULES`]. Core, which every session
    /// has, is never among them.
    pub modules: Vec<&'static Module>,
}

/// A slug that cannot be one. The text tells the visitor what is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{slug:?} is not a feature slug: at most 80 characters, parts of letters, digits, - and _ with dots \
     between them, a letter first, such as \"lms\" or \"lms.courses\""
)]
pub struct BadSlug {
    /// The slug, cut after 80 characters.
    pub slug: String,
}

impl Selection {
    /// Sorts the slugs out. A bare module slug grants the whole module, a dotted one itself and what
    /// it requires, transitively.
    ///
    /// # Errors
    /// The first slug that is malformed.
    pub fn of<'a>(slugs: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSlug> {
        let mut selected = BTreeSet::new();
        let mut ignored = BTreeSet::new();
        let mut enabled = BTreeSet::new();
        for slug in slugs {
            if !is_well_formed(slug) {
                return Err(BadSlug {
                    slug: slug.chars().take(MAX_SLUG).collect(),
                });
            }
            // The slug `core` names a module and a feature: the module is the larger grant.
            if let Some(module) = module(slug) {
                module.features.iter().for_each(|feature| grant(feature, &mut enabled));
            } else if let Some(feature) = feature(slug) {
                grant(feature, &mut enabled);
            } else {
                ignored.insert(slug.to_owned());
                continue;
            }
            selected.insert(slug.to_owned());
        }
        let modules = MODULES
            .iter()
            .skip(1) // core
            .copied()
            .filter(|module| module.features.iter().any(|f| enabled.contains(f.slug)))
            .collect();
        Ok(Self {
            selected: selected.into_iter().collect(),
            ignored: ignored.into_iter().collect(),
            enabled: enabled.into_iter().collect(),
            modules,
        })
    }
}

fn grant(granted: &'static Feature, enabled: &mut BTreeSet<&'static str>) {
    if enabled.insert(granted.slug) {
        granted
            .requires
            .iter()
            .filter_map(|slug| feature(slug))
            .for_each(|f| grant(f, enabled));
    }
}

/// `^[a-zA-Z][a-zA-Z0-9_-]*(\.[a-zA-Z0-9_-]+)*$`, at most 80 bytes: a studio sells more than previews know.
fn is_well_formed(slug: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    slug.len() <= MAX_SLUG && slug.starts_with(|c: char| c.is_ascii_alphabetic()) && slug.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(slugs: &[&str]) -> Selection {
        Selection::of(slugs.iter().copied()).expect("well-formed slugs")
    }

    fn ids(selection: &Selection) -> Vec<&str> {
        selection.modules.iter().map(|module| module.id).collect()
    }

    #[test]
    fn a_dotted_slug_grants_itself_and_what_it_requires_transitively() {
        let selection = select(&["ecommerce.customers"]);
        assert_eq!(
            selection.enabled,
            [
                "ecommerce.cart",
                "ecommerce.customers",
                "ecommerce.orders",
                "ecommerce.products"
            ]
        );
        assert_eq!(selection.selected, ["ecommerce.customers"]);
        assert_eq!(ids(&selection), ["ecommerce"]);
    }

    #[test]
    fn a_module_slug_is_spelled_out_into_all_features_of_the_module() {
        let selection = select(&["tasks"]);
        assert_eq!(
            selection.enabled,
            ["tasks.comments", "tasks.labels", "tasks.management", "tasks.settings"]
        );
        assert_eq!(selection.selected, ["tasks"]);
    }

    #[test]
    fn slugs_nobody_knows_are_kept_apart_and_grant_nothing() {
        let selection = select(&["payments.oneTime", "auth.basic", "ecommerce.cart", "lms.coursesX"]);
        assert_eq!(selection.ignored, ["auth.basic", "lms.coursesX", "payments.oneTime"]);
        assert_eq!(selection.selected, ["ecommerce.cart"]);
        assert_eq!(selection.enabled, ["ecommerce.cart", "ecommerce.products"]);
    }

    #[test]
    fn repeats_and_order_do_not_matter_and_modules_keep_the_contracts_order() {
        let selection = select(&["tasks.labels", "lms.courses", "tasks.labels", "lms.courses"]);
        assert_eq!(selection.selected, ["lms.courses", "tasks.labels"]);
        assert_eq!(ids(&selection), ["lms", "tasks"]);
    }

    #[test]
    fn core_is_no_module_of_a_selection_even_when_chosen() {
        let selection = select(&["core", "sandbox"]);
        assert_eq!(selection.enabled, ["core", "sandbox"]);
        assert!(selection.modules.is_empty());
        assert!(select(&[]).enabled.is_empty());
    }

    #[test]
    fn malformed_slugs_are_refused_by_name() {
        let long = "a".repeat(81);
        for slug in [
            "",
            "1lms",
            "-lms",
            "lms.",
            ".lms",
            "lms..courses",
            "lms courses",
            "lms/x",
            "läs",
            "lms\n",
            "a'; DROP",
            &long,
        ] {
            assert!(Selection::of([slug]).is_err(), "{slug:?} was accepted");
        }
        assert!(Selection::of(["a".repeat(80).as_str()]).is_ok());
        for slug in ["auth.two-factor.SMS", "no-such-feature", "my_feature", "Plan.2"] {
            assert_eq!(select(&[slug]).ignored, [slug]);
        }
        let told = Selection::of(["lms", "Lms\u{1b}"]).expect_err("malformed").to_string();
        assert!(
            told.starts_with(r#""Lms\u{1b}" is not a feature slug: at most 80"#),
            "{told}"
        );
    }
}
