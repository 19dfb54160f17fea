//! What a selling module does when its order is paid, cancelled or refunded on the pages of core, in the same
//! transaction. Modules that act by themselves call the ledger and need none of this.

use futures::future::BoxFuture;
use rust_decimal::Decimal;

use super::Source;
use crate::{
    http::{Call, Result},
    modules::core::orders::Model,
};

/// Before an order changes.
pub type Before = fn(Call, Model) -> BoxFuture<'static, Result<()>>;
/// After money has moved.
pub type Money = fn(Call, Model, Decimal) -> BoxFuture<'static, Result<()>>;

/// A module that sells.
#[derive(Clone, Copy, Debug)]
pub struct Seller {
    /// Which one.
    pub source: Source,
    /// Before a pending order is cancelled: undoes the module's side (stock back, seat free), or refuses with
    /// `INVALID_STATE` when its own rules forbid it by now. It is given the order as it is; the ledger does the rest.
    pub cancelling: Before,
    /// After a pending order was paid, or money was given back (then the amount is negative). Goods, seats and
    /// enrolments stay.
    pub money: Money,
}

impl Seller {
    /// One with nothing to do, to start from.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self {
            source,
            cancelling: |_, _| Box::pin(async { Ok(()) }),
            money: |_, _, _| Box::pin(async { Ok(()) }),
        }
    }
}

/// The seller of an order, when it wants to know.
#[must_use]
pub fn of(order: &Model) -> Option<Seller> {
    let mut known = crate::modules::PARTS.iter().filter_map(|part| part.seller);
    known.find(|seller| seller.source.as_str() == order.source)
}
