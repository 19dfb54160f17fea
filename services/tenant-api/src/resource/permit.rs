//! Whether the caller may change a row that the caller may see.

use fault::{Fault, codes};

use super::Resource;
use crate::http::{Call, Result, Who};

/// Passes when one of the route's callers fits; `row` is `None` for a new one.
///
/// # Errors
/// 403 when none does.
pub async fn permit<R: Resource>(call: &Call, row: Option<&R::Model>) -> Result<()> {
    if call.is_admin() {
        return Ok(());
    }
    for who in call.route().who {
        let passes = match (who, row) {
            (Who::Public | Who::User, _) => true,
            (Who::Staff, _) => call.is_staff(),
            (Who::Owner, Some(row)) => R::owns(call, row).await?,
            (Who::Module(role), row) => R::holds(call, role, row).await?,
            (Who::Owner, None) | (Who::Admin, _) => false,
        };
        if passes {
            return Ok(());
        }
    }
    Err(Fault::new(codes::FORBIDDEN, "Your role does not allow this for this row.").into())
}
