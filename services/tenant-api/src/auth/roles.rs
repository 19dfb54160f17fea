//! Whether the caller's roles let a route be called at all, before its body or a row is looked at.

use fault::{Fault, codes};

use super::Caller;
use crate::{
    http::{Route, Who},
    modules::{ROLES, Scope},
};

/// Passes when one of the route's callers fits.
///
/// # Errors
/// 401 when nobody is signed in, 403 when no role fits.
pub fn admit(route: &Route, caller: Option<&Caller>) -> Result<(), Fault> {
    if route.who.contains(&Who::Public) {
        return Ok(());
    }
    let caller = caller.ok_or_else(|| Fault::new(codes::UNAUTHORIZED, "Sign in first."))?;
    let fits = |who: &Who| match who {
        Who::Public | Who::User | Who::Owner => true,
        Who::Staff => caller.is_staff(),
        Who::Admin | Who::Module(_) => false,
    };
    if caller.is_admin() || route.who.iter().any(fits) || holds(route, caller) {
        return Ok(());
    }
    Err(Fault::new(codes::FORBIDDEN, "Your role does not allow this."))
}

/// Whether the caller holds one of the module's roles that the route names, for any row.
fn holds(route: &Route, caller: &Caller) -> bool {
    route.who.iter().any(|who| {
        let Who::Module(word) = who else { return false };
        let name = format!("{}.{word}", route.module);
        // One that no account shows is told by the row alone.
        let Some(role) = ROLES.iter().find(|role| role.name == name) else {
            return true;
        };
        // Such a list answers everybody with what one may see (contract README section 6).
        let is_open_list = role.scope == Scope::Row && route.operation == "list" && route.parameters().is_empty();
        is_open_list
            || caller
                .held
                .iter()
                .any(|(held, row)| *held == role.name && row.is_some())
    })
}
