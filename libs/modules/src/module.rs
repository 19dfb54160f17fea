//! What a module is: static data that routes, navigation, the catalogue and the provisioner share.

use crate::setting::Setting;

/// One module of the preview application. Everything here is fixed by `docs/contract/<id>.yaml`.
#[derive(Debug)]
pub struct Module {
    /// Name in slugs, paths and table names.
    pub id: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// Where its routes begin, such as `/api/v1/lms`.
    pub prefix: &'static str,
    /// What a session can be granted of it.
    pub features: &'static [Feature],
    /// Its part of the application's menu.
    pub nav: Nav,
    /// The settings it knows, with their defaults.
    pub settings: &'static [Setting],
    /// Tables that drop their oldest rows at the row limit instead of refusing new ones.
    pub journals: &'static [&'static str],
    /// Its DDL with unqualified names; run it after that of the modules before it.
    pub tables: &'static str,
    /// Its demo data, for [`seed_sql`](crate::seed_sql). Empty when the module has none.
    pub seed: &'static str,
}

impl Module {
    /// Whether a session that chose it finds rows of it.
    pub fn has_data(&self) -> bool {
        !self.seed.is_empty()
    }
}

/// Something a session can be granted, and the routes that it opens.
#[derive(Debug, PartialEq, Eq)]
pub struct Feature {
    /// The slug that grants it.
    pub slug: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// Slugs of features that come with it; transitive.
    pub requires: &'static [&'static str],
    /// Paths that it opens, with all below them.
    pub prefixes: &'static [&'static str],
    /// On in every session, granted or not.
    pub always: bool,
}

/// A module's entry in the menu.
#[derive(Debug)]
pub struct Nav {
    /// Label of the group.
    pub label: &'static str,
    /// Icon name (lucide).
    pub icon: &'static str,
    /// Where a click on the group leads, as an application path.
    pub path: &'static str,
    /// The pages in it.
    pub items: &'static [NavItem],
}

/// One page in the menu.
#[derive(Debug)]
pub struct NavItem {
    /// Label of the entry.
    pub label: &'static str,
    /// Application path.
    pub path: &'static str,
    /// Shown when this feature is granted.
    pub feature: &'static str,
    /// Who sees it: callers as in the contract, joined by commas.
    pub who: &'static str,
}

/// A feature that is granted.
pub const fn feature(
    slug: &'static str,
    title: &'static str,
    requires: &'static [&'static str],
    prefixes: &'static [&'static str],
) -> Feature {
    Feature {
        slug,
        title,
        requires,
        prefixes,
        always: false,
    }
}

impl Feature {
    /// On in every session.
    pub const fn always(mut self) -> Self {
        self.always = true;
        self
    }
}

/// A page in the menu.
pub const fn item(label: &'static str, path: &'static str, feature: &'static str, who: &'static str) -> NavItem {
    NavItem {
        label,
        path,
        feature,
        who,
    }
}
