//! Which feature a path belongs to, and whether a session may pass.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::{Feature, MODULES, Module};

/// The answer of [`gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The feature is granted, or always on.
    Open(&'static Feature),
    /// The path belongs to a feature that the session does not have.
    Closed(&'static Feature),
    /// No feature knows the path.
    Unknown,
}

/// Which feature each path belongs to.
#[derive(Debug)]
pub struct Gates(HashMap<&'static str, &'static Feature>);

static ALL: LazyLock<Gates> = LazyLock::new(|| Gates::of(MODULES.iter().copied()));

/// Judges a path (without query) for a session with these features ([`Selection::enabled`]).
/// The longest prefix of whole segments decides; paths are compared as they are, without decoding.
///
/// [`Selection::enabled`]: crate::Selection::enabled
pub fn gate(path: &str, enabled: &[impl AsRef<str>]) -> Gate {
    ALL.judge(path, enabled)
}

impl Gates {
    /// The gates of these modules.
    pub fn of(modules: impl IntoIterator<Item = &'static Module>) -> Self {
        let features = modules.into_iter().flat_map(|module| module.features);
        let prefixes = features.flat_map(|feature| feature.prefixes.iter().map(move |prefix| (*prefix, feature)));
        Self(prefixes.collect())
    }

    /// As [`gate`].
    pub fn judge(&self, path: &str, enabled: &[impl AsRef<str>]) -> Gate {
        match self.owner(path) {
            None => Gate::Unknown,
            Some(feature) if feature.always => Gate::Open(feature),
            Some(feature) if enabled.iter().any(|slug| slug.as_ref() == feature.slug) => Gate::Open(feature),
            Some(feature) => Gate::Closed(feature),
        }
    }

    fn owner(&self, path: &str) -> Option<&'static Feature> {
        let mut prefix = path;
        loop {
            if let Some(feature) = self.0.get(prefix) {
                return Some(feature);
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [&str; 0] = [];

    fn slug(path: &str) -> Option<&'static str> {
        ALL.owner(path).map(|feature| feature.slug)
    }

    #[test]
    fn a_prefix_covers_itself_and_all_below_it() {
        for path in [
            "/api/v1/lms/courses",
            "/api/v1/lms/courses/",
            "/api/v1/lms/courses/a/sections/b",
        ] {
            assert_eq!(slug(path), Some("lms.courses"), "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_whole_segment() {
        for path in [
            "/api/v1/lms/coursesX",
            "/api/v1/lms",
            "/api/v1/lms/",
            "/api/v1",
            "/",
            "",
            "api",
        ] {
            assert_eq!(gate(path, &["lms.courses"]), Gate::Unknown, "{path}");
        }
    }

    #[test]
    fn only_granted_features_open() {
        let enabled = ["ecommerce.products".to_owned()];
        assert!(
            matches!(gate("/api/v1/ecommerce/products", &enabled), Gate::Open(f) if f.slug == "ecommerce.products")
        );
        assert!(matches!(gate("/api/v1/ecommerce/cart", &enabled), Gate::Closed(f) if f.slug == "ecommerce.cart"));
    }

    #[test]
    fn core_and_sandbox_are_open_in_every_session() {
        for path in [
            "/api/v1/auth/login",
            "/api/v1/orders",
            "/api/v1/sandbox/emails",
            "/api/v1/uploads",
        ] {
            assert!(matches!(gate(path, &NOTHING), Gate::Open(_)), "{path}");
        }
    }

    #[test]
    fn no_two_features_share_a_prefix() {
        let prefixes: usize = crate::features().map(|feature| feature.prefixes.len()).sum();
        assert_eq!(ALL.0.len(), prefixes);
    }
}
