//! What a purchase costs (contract README section 11).

use fault::{Fault, codes};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    http::{Call, Result},
    resource::value::{cents, money},
    settings::Settings,
};

/// What kind of thing a line sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A product of the shop.
    Product,
    /// A course.
    Course,
    /// A prepaid booking.
    Booking,
    /// A ticket.
    EventTicket,
}

impl Kind {
    /// The word in `order_items.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Course => "course",
            Self::Booking => "booking",
            Self::EventTicket => "event_ticket",
        }
    }
}

/// One line of a purchase, as sold.
#[derive(Clone, Debug)]
pub struct Line {
    /// What kind of thing is sold.
    pub kind: Kind,
    /// The row that is sold.
    pub ref_id: Uuid,
    /// At most 200 characters.
    pub title: String,
    /// The shop's number of the thing.
    pub sku: Option<String>,
    /// 1 to 99.
    pub quantity: i32,
    /// For one.
    pub unit_price: Decimal,
}

impl Line {
    /// Quantity times price.
    #[must_use]
    pub fn total(&self) -> Decimal {
        cents(self.unit_price * Decimal::from(self.quantity))
    }
}

/// The sum of all lines.
#[must_use]
pub fn subtotal<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Decimal {
    cents(lines.into_iter().map(Line::total).sum())
}

/// Setting `orders.taxRate`, in percent.
///
/// # Errors
/// When the database refuses.
pub async fn tax_rate(call: &Call) -> Result<Decimal> {
    let settings = Settings::load(call).await?;
    Ok(settings.decimal("orders.taxRate").unwrap_or_default())
}

/// The sums of a purchase, all in whole cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Of all lines.
    pub subtotal: Decimal,
    /// Of the coupon.
    pub discount: Decimal,
    /// Untaxed.
    pub shipping: Decimal,
    /// On what is left after the discount.
    pub tax: Decimal,
    /// What is to be paid.
    pub total: Decimal,
}

impl Totals {
    /// Sums up; the rate is that of [`tax_rate`].
    #[must_use]
    pub fn of(subtotal: Decimal, discount: Decimal, shipping: Decimal, tax_rate: Decimal) -> Self {
        let taxed = subtotal - discount;
        let tax = cents(taxed * tax_rate / Decimal::ONE_HUNDRED);
        Self {
            subtotal: cents(subtotal),
            discount: cents(discount),
            shipping: cents(shipping),
            tax,
            total: cents(taxed + shipping + tax),
        }
    }

    /// Passes when the caller expects this total, or none.
    ///
    /// # Errors
    /// 409 `TOTAL_CHANGED` with the computed total.
    pub fn expect(&self, expected: Option<Decimal>) -> Result<(), Fault> {
        if expected.is_none_or(|expected| expected == self.total) {
            return Ok(());
        }
        let total = money(self.total);
        let message = format!("The total is {total} by now. Look at it again before you buy.");
        Err(Fault::new(codes::TOTAL_CHANGED, message).detail("expectedTotal", total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn tax_is_on_what_the_discount_leaves_and_not_on_shipping() {
        let totals = Totals::of(d("112.50"), d("11.25"), d("5.90"), d("8.00"));
        assert_eq!(totals.tax, d("8.10"));
        assert_eq!(totals.total, d("115.25"));
    }

    #[test]
    fn half_a_cent_of_tax_is_rounded_up() {
        assert_eq!(Totals::of(d("0.25"), d("0"), d("0"), d("10.00")).tax, d("0.03"));
        assert_eq!(Totals::of(d("0.24"), d("0"), d("0"), d("10.00")).tax, d("0.02"));
    }

    #[test]
    fn another_total_than_expected_tells_the_computed_one() {
        let totals = Totals::of(d("10"), d("0"), d("0"), d("8.00"));
        assert!(totals.expect(None).is_ok() && totals.expect(Some(d("10.8"))).is_ok());
        let refused = totals
            .expect(Some(d("10")))
            .map_err(|fault| fault.fields()[0].message.clone());
        assert_eq!(refused, Err("10.80".into()));
    }
}
