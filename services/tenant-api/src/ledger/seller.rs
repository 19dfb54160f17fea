//! What a selling module does when its order is paid, cancelled or refunded on the pages of core, in the same
//! transaction. Modules that act by themselves call the ledger and need none of this.

use futures::future::BoxFuture;

use super::Source;
use crate::{
    http::{Call, Result},
    modules::core::orders::Model,
};

/// What follows.
pub type Hook = fn(Call, Model) -> BoxFuture<'static, Result<()>>;

/// A module that sells.
#[derive(Clone, Copy, Debug)]
pub struct Seller {
    /// Which one.
    pub source: Source,
    /// Before a pending order is cancelled: undoes the module's side (stock back, seat free), or refuses with
    /// `INVALID_STATE` when its own rules forbid it by now. It is given the order as it is; the ledger does the rest.
    pub cancelling: Hook,
    /// After a pending order was paid.
    pub paid: Hook,
    /// After money was given back; goods, seats and enrolments stay.
    pub refunded: Hook,
}

impl Seller {
    /// One with nothing to do, to start from: `Seller { paid: |call, order| Box::pin(paid(call, order)), ..Seller::of(…) }`.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self {
            source,
            cancelling: nothing,
            paid: nothing,
            refunded: nothing,
        }
    }
}

fn nothing(_call: Call, _order: Model) -> BoxFuture<'static, Result<()>> {
    Box::pin(async { Ok(()) })
}

/// The seller of an order, when it wants to know.
#[must_use]
pub fn of(order: &Model) -> Option<Seller> {
    let mut known = crate::modules::PARTS.iter().filter_map(|part| part.seller);
    known.find(|seller| seller.source.as_str() == order.source)
}
