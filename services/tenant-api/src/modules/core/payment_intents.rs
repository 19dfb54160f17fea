//! Test payments: intents as in card processing. No money moves.

use fault::codes;
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter,
    PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    ledger::{invalid_state, payments},
    resource::{
        Change, Field, ListSpec, Operations, Resource, Spec,
        permit::permit,
        show::{self, Lock},
        update,
        value::instant,
    },
    sandbox::card::{self, CARD, Card},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payments")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub intent_code: String,
    pub purpose: String,
    pub order_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    pub amount: Decimal,
    pub currency: String,
    pub description: Option<String>,
    pub status: String,
    pub card_brand: Option<String>,
    pub card_last4: Option<String>,
    pub decline_code: Option<String>,
    pub succeeded_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "payment-intents",
        path: "/sandbox/payment-intents",
        table: "payments",
        owner: Some("userId"),
        fields: &[
            Field::text("intentCode", "40").filled().server(),
            Field::one_of("purpose", &["order", "invoice", "standalone"])
                .filled()
                .server(),
            Field::reference("orderId", "orders").server(),
            Field::reference("userId", "users").server(),
            Field::money("amount")
                .required()
                .min("0.01")
                .max("99999.99")
                .create_only(),
            Field::currency("currency").filled().server(),
            Field::text("description", "200").create_only(),
            Field::one_of("status", &["requires_confirmation", "succeeded", "failed", "canceled"])
                .default("\"requires_confirmation\"")
                .server(),
            Field::one_of("cardBrand", &["visa", "mastercard", "amex", "other"]).server(),
            Field::text("cardLast4", "4").server(),
            Field::text("declineCode", "40").server(),
            Field::timestamp("succeededAt").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["status", "purpose", "orderId"],
            ranges: &["createdAt"],
            sort: &["createdAt", "amount"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: Some(&[Who::User]),
            ..Operations::NONE
        },
    };

    /// Anybody sees every test payment; who may act on one is looked at then.
    async fn visible(_call: &Call) -> Result<Condition> {
        Ok(Condition::all())
    }

    /// Only standalone intents are made here; modules make theirs inside their own actions.
    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        change.set("intentCode", payments::intent_code()?);
        change.set("purpose", "standalone");
        change.set("currency", call.tenant().currency.clone());
        change.set("userId", call.user()?.id.to_string());
        Ok(())
    }
}

/// The routes beside the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    const OWNER: &[Who] = &[Who::Owner];
    vec![
        Route::post("/sandbox/payment-intents/{id}/confirm", "confirm", confirm)
            .who(OWNER)
            .body(const { &[Field::object("card", &CARD)] })
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE, codes::PAYMENT_DECLINED]),
        Route::post("/sandbox/payment-intents/{id}/cancel", "cancel-intent", cancel)
            .who(OWNER)
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE]),
        Route::get("/sandbox/cards", "cards", cards).returns_array(&card::TEST_CARD),
    ]
}

/// The intent in the path, locked, when the caller may act on it and it is still open.
async fn open(call: &Call) -> Result<Model> {
    let intent = show::find::<Entity>(call, call.parameter("id"), Lock::Update).await?;
    permit::<Entity>(call, Some(&intent)).await?;
    if matches!(intent.status.as_str(), "requires_confirmation" | "failed") {
        return Ok(intent);
    }
    Err(invalid_state(format!("This payment is {} and stays so.", intent.status)).into())
}

/// Takes the money of a standalone intent; a decline may be tried again.
async fn confirm(call: Call) -> Result<Answer> {
    let card = Card::read(call.body(), "card", call.now())?;
    let intent = open(&call).await?;
    if intent.purpose != "standalone" {
        return Err(invalid_state("This payment belongs to a purchase; pay there.").into());
    }
    let (status, succeeded) = match card.decline {
        None => ("succeeded", json!(instant(call.now()))),
        Some(_) => ("failed", Value::Null),
    };
    let values = Map::from_iter([
        ("status".to_owned(), json!(status)),
        ("cardBrand".to_owned(), json!(card.brand)),
        ("cardLast4".to_owned(), json!(card.last4)),
        ("declineCode".to_owned(), json!(card.decline)),
        ("succeededAt".to_owned(), succeeded),
    ]);
    let after = update::write::<Entity>(&call, &intent, &values).await?;
    match card.decline {
        Some(code) => Ok(Answer::refused(card::declined(code))),
        None => update::answer::<Entity>(&call, &intent, after).await,
    }
}

async fn cancel(call: Call) -> Result<Answer> {
    let intent = open(&call).await?;
    let values = Map::from_iter([("status".to_owned(), json!("canceled"))]);
    let after = update::write::<Entity>(&call, &intent, &values).await?;
    update::answer::<Entity>(&call, &intent, after).await
}

/// The test numbers.
async fn cards(_call: Call) -> Result<Answer> {
    Ok(Answer::data(card::table()))
}
