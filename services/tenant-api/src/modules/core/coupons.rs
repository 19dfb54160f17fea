//! Coupons. What one is worth, and its limits, stand in [`ledger::coupons`](crate::ledger::coupons).

use fault::{Detail, Fault, codes};
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Value, json};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    ledger::{
        Source,
        coupons::{self, Issue},
    },
    resource::{Change, Field, ListSpec, Operations, Resource, Spec, value},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "coupons")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub code: String,
    pub description: Option<String>,
    pub kind: String,
    pub value: Decimal,
    pub scope: String,
    pub min_subtotal: Decimal,
    pub max_uses: Option<i32>,
    pub per_user_limit: Option<i32>,
    pub used_count: i32,
    pub starts_at: Option<DateTimeUtc>,
    pub ends_at: Option<DateTimeUtc>,
    pub is_active: bool,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const STAFF: Option<&[Who]> = Some(&[Who::Staff]);
const MODULES: &[&str] = &["ecommerce", "lms", "booking", "events"];

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "coupons",
        path: "/coupons",
        table: "coupons",
        owner: None,
        fields: &[
            Field::text("code", "30").required().upper().pattern("[A-Z0-9-]{3,30}"),
            Field::text("description", "200"),
            Field::one_of("kind", &["percent", "fixed"]).required(),
            Field::decimal("value", 2).required().min("0.01"),
            Field::one_of("scope", &["all", "ecommerce", "lms", "booking", "events"]).default("\"all\""),
            Field::money("minSubtotal").default("\"0.00\"").min("0"),
            Field::int("maxUses").min("1").max("1000"),
            Field::int("perUserLimit").min("1").max("100"),
            Field::int("usedCount").default("0").server(),
            Field::timestamp("startsAt"),
            Field::timestamp("endsAt"),
            Field::bool("isActive").default("true"),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["kind", "scope", "isActive"],
            sort: &["code", "createdAt", "usedCount", "endsAt"],
            search: &["code", "description"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: STAFF,
            get: STAFF,
            create: STAFF,
            update: STAFF,
            delete: Some(&[Who::Admin]),
        },
    };

    async fn prepare(_call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let details = mistakes(change);
        if details.is_empty() {
            Ok(())
        } else {
            Err(Fault::invalid(details).into())
        }
    }
}

/// Rules between fields, over what the row will be.
fn mistakes(change: &Change<'_, Entity>) -> Vec<Detail> {
    let mut details = Vec::new();
    let before = change.before;
    let kind = change.text("kind").or(before.map(|row| row.kind.as_str()));
    let amount = change.text("value").and_then(|text| text.parse().ok());
    let amount = amount.or(before.map(|row| row.value));
    if kind == Some("percent") && amount.is_some_and(|amount: Decimal| amount > Decimal::ONE_HUNDRED) {
        details.push(Detail::new("value", "must be at most 100.00 for a percentage"));
    }
    let at = |name: &str, kept: Option<DateTimeUtc>| match change.values.get(name) {
        Some(sent) => sent.as_str().and_then(|text| text.parse::<DateTimeUtc>().ok()),
        None => kept,
    };
    let (starts, ends) = (
        at("startsAt", before.and_then(|row| row.starts_at)),
        at("endsAt", before.and_then(|row| row.ends_at)),
    );
    if starts.zip(ends).is_some_and(|(starts, ends)| ends <= starts) {
        details.push(Detail::new("endsAt", "must be after startsAt"));
    }
    let used = before.map_or(0, |row| i64::from(row.used_count));
    if change.int("maxUses").is_some_and(|most| most < used) {
        details.push(Detail::new(
            "maxUses",
            format!("must be at least {used}: so often it was used"),
        ));
    }
    details
}

/// The routes beside the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    const BODY: &[Field] = &[
        Field::text("code", "30").required().upper(),
        Field::money("subtotal").required().min("0"),
        Field::one_of("module", MODULES).required(),
    ];
    const QUOTE: &[Field] = &[
        Field::text("code", "30").required(),
        Field::money("discount").required(),
        Field::currency("currency").required(),
    ];
    vec![
        Route::post("/coupons/validate", "validate", validate)
            .body(BODY)
            .returns_fields(QUOTE)
            .errors(&[codes::COUPON_INVALID]),
    ]
}

/// Tells the discount without using the coupon.
async fn validate(call: Call) -> Result<Answer> {
    let text = |name: &str| call.body().get(name).and_then(Value::as_str).unwrap_or_default();
    let source = Source::parse(text("module")).ok_or_else(|| Fault::internal("a module that does not sell"))?;
    let subtotal: Decimal = text("subtotal").parse().map_err(Fault::internal)?;
    let buyer = call.caller().map(|caller| caller.id);
    let quote = coupons::quote(&call, text("code"), buyer, source, subtotal).await?;
    let discount = quote.map_err(Issue::fault)?;
    Ok(Answer::data(json!({
        "code": text("code"),
        "discount": value::money(discount),
        "currency": call.tenant().currency,
    })))
}
