//! Card payments: decided by the test number, kept as rows of `payments`.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use fault::Fault;
use rust_decimal::Decimal;
use sea_orm::{ActiveValue::Set, EntityTrait};
use uuid::Uuid;

use crate::{
    http::{Call, Result},
    modules::core::payment_intents::{ActiveModel, Entity, Model},
    sandbox::card::{self, Card},
};

/// What money is taken for.
#[derive(Clone, Debug)]
pub struct Charge<'a> {
    /// `order` or `invoice`.
    pub purpose: &'static str,
    /// The order it pays, when there is one by now.
    pub order: Option<Uuid>,
    /// Who pays.
    pub user: Option<Uuid>,
    /// At least 0.01.
    pub amount: Decimal,
    /// At most 200 characters.
    pub description: Option<String>,
    /// The card.
    pub card: &'a Card,
}

/// What became of it.
#[derive(Debug)]
pub enum Charged {
    /// Paid; the row that says so.
    Paid(Box<Model>),
    /// Declined: the action has written nothing else and answers with `Answer::refused` of this.
    Declined(Fault),
}

/// Takes a payment. The card decides; either way one row is written. Call it when nothing but the card can fail any
/// more, and answer a decline with `Answer::refused`: that keeps the failed row although it is an error.
///
/// # Errors
/// 409 when no row has room.
pub async fn charge(call: &Call, charge: Charge<'_>) -> Result<Charged> {
    let card = charge.card.clone();
    let row = write(call, charge).await?;
    Ok(match card.decline {
        Some(code) => Charged::Declined(card::declined(code)),
        None => Charged::Paid(Box::new(row)),
    })
}

/// Writes the row of a payment whose card has decided.
pub(super) async fn write(call: &Call, charge: Charge<'_>) -> Result<Model> {
    let card = charge.card;
    let is_paid = card.decline.is_none();
    let row = ActiveModel {
        id: Set(Uuid::now_v7()),
        intent_code: Set(intent_code()?),
        purpose: Set(charge.purpose.to_owned()),
        order_id: Set(charge.order),
        user_id: Set(charge.user),
        amount: Set(charge.amount),
        currency: Set(call.tenant().currency.clone()),
        description: Set(charge.description),
        status: Set(if is_paid { "succeeded" } else { "failed" }.to_owned()),
        card_brand: Set(Some(card.brand.to_owned())),
        card_last4: Set(Some(card.last4.clone())),
        decline_code: Set(card.decline.map(str::to_owned)),
        succeeded_at: Set(is_paid.then(|| call.now())),
        created_at: Set(call.now()),
        updated_at: Set(call.now()),
    };
    call.closing().watch("payments");
    Ok(Entity::insert(row).exec_with_returning(call.tx()).await?)
}

/// `pi_` and 24 random characters.
///
/// # Errors
/// When the operating system has no randomness.
pub fn intent_code() -> Result<String, Fault> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(Fault::internal)?;
    let code = STANDARD_NO_PAD.encode(bytes).replace('+', "x").replace('/', "z");
    Ok(format!("pi_{code}"))
}

#[cfg(test)]
mod tests {
    use super::intent_code;

    #[test]
    fn an_intent_has_24_letters_and_digits() {
        let code = intent_code().unwrap();
        let tail = code.strip_prefix("pi_").unwrap();
        assert!(
            tail.len() == 24 && tail.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{code}"
        );
    }
}
