//! The audit log: one row for each successful write by staff, and for anyone's registration, sign-in, password change,
//! purchase and cancellation (contract README section 12).

use uuid::Uuid;

use crate::http::{Answer, Call};

/// Resources whose writes are not audited: notifications, the sandbox's and the cart.
const EXEMPT: [&str; 5] = ["notifications", "emails", "payment-intents", "uploads", "cart"];

/// Writes the row for a request that succeeded, in its transaction.
pub fn record(call: &Call, answer: &mut Answer) {
    let route = call.route();
    if !route.is_write() {
        return;
    }
    let subject = answer.take_subject();
    let (actor, name, role) = match (call.caller(), &subject.actor) {
        (_, Some(actor)) => (actor.id, actor.name.clone(), actor.role),
        (Some(caller), None) => (caller.id, caller.name.clone(), caller.role),
        // Nobody is signed in and nobody was signed in by this: a logout without a token, say.
        (None, None) => return,
    };
    let by_staff = role.is_staff() && !EXEMPT.contains(&route.resource);
    if !(by_staff || route.audited) {
        return;
    }
    let action = format!("{}.{}.{}", route.module, route.resource, route.operation);
    let entity = format!("{}.{}", route.module, subject.resource.unwrap_or(route.resource));
    let title = if subject.title.is_empty() {
        String::new()
    } else {
        format!(" {}", subject.title)
    };
    let summary: String = format!("{name}: {} {}{title}", route.operation, route.resource)
        .chars()
        .take(200)
        .collect();
    let sql = "INSERT INTO audit_logs (id, actor_id, actor_name, action, entity_type, entity_id, summary, changes) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        Uuid::now_v7().into(),
        actor.into(),
        name.into(),
        action.into(),
        entity.into(),
        subject.id.into(),
        summary.into(),
        subject.changes.into(),
    ];
    call.closing().insert("audit_logs", sql, values);
}
