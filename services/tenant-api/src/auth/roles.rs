//! Whether the caller's roles let a route be called at all, before its body or a row is looked at.

use fault::{Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Caller;
use crate::{
    http::{Result, Route, Who},
    modules::{ROLES, Scope},
    tenant::transaction::Tx,
};

/// Passes when one of the route's callers fits.
///
/// # Errors
/// 401 when nobody is signed in, 403 when no role fits.
pub async fn admit(route: &Route, caller: Option<&Caller>, tx: &Tx) -> Result<()> {
    if route.who.contains(&Who::Public) {
        return Ok(());
    }
    let caller = caller.ok_or_else(|| Fault::new(codes::UNAUTHORIZED, "Sign in first."))?;
    let fits = |who: &Who| match who {
        Who::Public | Who::User | Who::Owner => true,
        Who::Staff => caller.is_staff(),
        Who::Admin | Who::Module(_) => false,
    };
    if caller.is_admin() || route.who.iter().any(fits) || holds(route, caller, tx).await? {
        return Ok(());
    }
    Err(Fault::new(codes::FORBIDDEN, "Your role does not allow this.").into())
}

/// Whether the caller holds one of the module's roles that the route names, for any row.
async fn holds(route: &Route, caller: &Caller, tx: &Tx) -> Result<bool> {
    for who in route.who {
        let Who::Module(word) = who else { continue };
        let name = format!("{}.{word}", route.module);
        // One that no account shows is told by the row alone.
        let Some(role) = ROLES.iter().find(|role| role.name == name) else {
            return Ok(true);
        };
        // Such a list answers everybody with what one may see (contract README section 6).
        if role.scope == Scope::Row && route.operation == "list" && route.parameters().is_empty() {
            return Ok(true);
        }
        let sql = format!("SELECT 1 FROM users u WHERE u.id = $1 AND EXISTS ({})", role.held);
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [caller.id.into()]);
        if tx.query_one_raw(statement).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
