//! The one ledger of purchases (contract README section 11): every module that sells places its orders here.
//!
//! A selling module locks its own rows and checks its own rules first, then claims the coupon ([`coupons::claim`]),
//! then calls [`orders::place`], and writes its own rows when that has answered with an order. To take a purchase back
//! it calls [`undo::undo`] inside its own action. Everybody locks in this order: the module's rows, coupons, orders,
//! counters of numbers.

pub mod coupons;
pub mod letters;
pub mod numbers;
pub mod orders;
pub mod payments;
pub mod pricing;
pub mod seller;
pub mod undo;

use fault::{Fault, codes};

/// Modules that sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The online shop.
    Ecommerce,
    /// Courses.
    Lms,
    /// Prepaid bookings.
    Booking,
    /// Tickets.
    Events,
}

impl Source {
    /// The module's id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecommerce => "ecommerce",
            Self::Lms => "lms",
            Self::Booking => "booking",
            Self::Events => "events",
        }
    }

    /// The module with this id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ecommerce, Self::Lms, Self::Booking, Self::Events]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// 409: the present status does not allow the step.
#[must_use]
pub fn invalid_state(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(codes::INVALID_STATE, message)
}
