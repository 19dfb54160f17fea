//! Test cards: which numbers pay, which decline (contract README section 10). No money moves; of a card only brand and
//! last four digits are kept.

use chrono::{DateTime, Datelike, Utc};
use fault::{Detail, Fault, codes};
use serde_json::{Map, Value, json};

use crate::resource::{Field, Shape};

/// The card that pays when none is named.
const DEFAULT: &str = "4242424242424242";

/// Numbers that decline, with their codes.
const DECLINES: [(&str, &str); 6] = [
    ("4000000000000002", "card_declined"),
    ("4000000000009995", "insufficient_funds"),
    ("4000000000009987", "lost_card"),
    ("4000000000000127", "incorrect_cvc"),
    ("4000000000000119", "processing_error"),
    ("4000000000000069", "expired_card"),
];

/// The shape `Card` in a body.
pub const CARD: Shape = Shape::of(
    "Card",
    &[
        Field::text("number", "19").required().pattern("[0-9]{12,19}"),
        Field::int("expMonth").required().min("1").max("12"),
        Field::int("expYear").required().min("2000").max("2100"),
        Field::text("cvc", "4").required().pattern("[0-9]{3,4}"),
    ],
);

/// The shape `Payment` in a body: `Field::object("payment", &PAYMENT)`.
pub const PAYMENT: Shape = Shape::of(
    "Payment",
    &[
        Field::one_of("method", &["card", "on_delivery"]).default("\"card\""),
        Field::object("card", &CARD),
    ],
);

/// A number of [`table`].
pub const TEST_CARD: Shape = Shape::of(
    "TestCard",
    &[
        Field::text("number", "19").required(),
        Field::text("brand", "20").required(),
        Field::text("outcome", "40").required(),
    ],
);

/// How a purchase is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    /// At once, by a test card.
    Card(Card),
    /// Later: the order stays pending.
    OnDelivery,
}

/// Whether an action lets its caller pay later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// `on_delivery` is accepted.
    Allowed,
    /// Card only.
    Refused,
}

/// A card that was read: its number is forgotten by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// `visa`, `mastercard`, `amex` or `other`.
    pub brand: &'static str,
    /// The last four digits.
    pub last4: String,
    /// Why it declines, when it does.
    pub decline: Option<&'static str>,
}

impl Payment {
    /// Reads the field `payment` of a checked body; left out or null it is the default card.
    ///
    /// # Errors
    /// 422 for a wrong check digit, a past expiry, or paying later where that is not offered.
    pub fn read(body: &Map<String, Value>, later: Later, now: DateTime<Utc>) -> Result<Self, Fault> {
        let Some(payment) = body.get("payment").and_then(Value::as_object) else {
            return Ok(Self::Card(Card::default()));
        };
        match (payment.get("method").and_then(Value::as_str), later) {
            (Some("on_delivery"), Later::Allowed) => Ok(Self::OnDelivery),
            (Some("on_delivery"), Later::Refused) => Err(Fault::field("payment.method", "must be card")),
            _ => Card::read(payment, "payment.card", now).map(Self::Card),
        }
    }

    /// The word in `paymentMethod`.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Card(_) => "card",
            Self::OnDelivery => "on_delivery",
        }
    }
}

impl Default for Card {
    fn default() -> Self {
        Self::of(DEFAULT)
    }
}

impl Card {
    /// Reads the field `card` of a checked object; left out or null it is the default card. `path` names it in errors.
    ///
    /// # Errors
    /// 422 for a wrong check digit or a past expiry.
    pub fn read(object: &Map<String, Value>, path: &str, now: DateTime<Utc>) -> Result<Self, Fault> {
        let Some(card) = object.get("card").and_then(Value::as_object) else {
            return Ok(Self::default());
        };
        let number = card.get("number").and_then(Value::as_str).unwrap_or_default();
        let part = |name: &str| card.get(name).and_then(Value::as_i64).unwrap_or_default();
        let mut details = Vec::new();
        if !has_valid_check_digit(number) {
            details.push(Detail::new(format!("{path}.number"), "has a wrong check digit"));
        }
        // A card is good until the end of its month.
        if (part("expYear"), part("expMonth")) < (i64::from(now.year()), i64::from(now.month())) {
            details.push(Detail::new(format!("{path}.expYear"), "lies in the past"));
        }
        if details.is_empty() {
            Ok(Self::of(number))
        } else {
            Err(Fault::invalid(details))
        }
    }

    fn of(number: &str) -> Self {
        let decline = DECLINES.iter().find(|(declines, _)| *declines == number);
        Self {
            brand: brand(number),
            last4: number
                .get(number.len().saturating_sub(4)..)
                .unwrap_or_default()
                .to_owned(),
            decline: decline.map(|(_, code)| *code),
        }
    }
}

/// The refusal for a declined card.
#[must_use]
pub fn declined(code: &str) -> Fault {
    let message = format!("The test card was declined: {}.", code.replace('_', " "));
    Fault::new(codes::PAYMENT_DECLINED, message).detail("card", code)
}

/// The test numbers for people, the succeeding one first.
#[must_use]
pub fn table() -> Value {
    let row = |number: &str, outcome: &str| json!({"number": number, "brand": brand(number), "outcome": outcome});
    let declines = DECLINES.iter().map(|(number, code)| row(number, code));
    std::iter::once(row(DEFAULT, "succeeded")).chain(declines).collect()
}

/// The issuer, told by the first digits.
fn brand(number: &str) -> &'static str {
    let prefix = |digits: usize| {
        number
            .get(..digits)
            .and_then(|text| text.parse::<u32>().ok())
            .unwrap_or(0)
    };
    match (prefix(1), prefix(2), prefix(4)) {
        (4, ..) => "visa",
        (_, 51..=55, _) | (_, _, 2221..=2720) => "mastercard",
        (_, 34 | 37, _) => "amex",
        _ => "other",
    }
}

/// Luhn's check: doubling every second digit from the right, the sum of digits is a multiple of ten.
fn has_valid_check_digit(number: &str) -> bool {
    let digits = number
        .bytes()
        .rev()
        .filter(u8::is_ascii_digit)
        .map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    !number.is_empty() && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-31T23:59:59Z".parse().expect("an instant")
    }

    fn pay(number: &str, month: i64, year: i64) -> Result<Card, String> {
        let body = json!({"card": {"number": number, "expMonth": month, "expYear": year, "cvc": "123"}});
        let body = body.as_object().cloned().unwrap_or_default();
        Card::read(&body, "card", now()).map_err(|fault| fault.fields()[0].field.clone())
    }

    #[test]
    fn every_test_number_has_a_valid_check_digit_and_its_outcome() {
        for (number, code) in DECLINES {
            assert_eq!(pay(number, 12, 2030).map(|card| card.decline), Ok(Some(code)));
        }
        assert_eq!(pay(DEFAULT, 12, 2030), Ok(Card::default()));
        assert_eq!(table().as_array().map(Vec::len), Some(7));
    }

    #[test]
    fn other_numbers_succeed_when_their_check_digit_is_right() {
        for (number, brand, last4) in [
            ("5555555555554444", "mastercard", "4444"),
            ("2223003122003222", "mastercard", "3222"),
            ("378282246310005", "amex", "0005"),
            ("6011111111111117", "other", "1117"),
            ("000000000000", "other", "0000"),
        ] {
            let card = Card {
                brand,
                last4: last4.into(),
                decline: None,
            };
            assert_eq!(pay(number, 1, 2030), Ok(card));
        }
        assert_eq!(pay("4242424242424241", 1, 2030), Err("card.number".into()));
    }

    #[test]
    fn a_card_is_good_until_the_end_of_its_month() {
        assert!(pay(DEFAULT, 3, 2026).is_ok());
        assert_eq!(pay(DEFAULT, 2, 2026), Err("card.expYear".into()));
        assert_eq!(pay(DEFAULT, 12, 2025), Err("card.expYear".into()));
    }

    #[test]
    fn paying_later_is_possible_only_where_it_is_offered() {
        let body = json!({"payment": {"method": "on_delivery", "card": null}});
        let body = body.as_object().cloned().unwrap_or_default();
        assert_eq!(
            Payment::read(&body, Later::Allowed, now()).ok(),
            Some(Payment::OnDelivery)
        );
        assert!(Payment::read(&body, Later::Refused, now()).is_err());
        assert_eq!(
            Payment::read(&Map::new(), Later::Refused, now()).ok(),
            Some(Payment::Card(Card::default()))
        );
    }
}
