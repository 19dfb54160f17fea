//! Orders of the one ledger. Modules make them; here they are shown, paid and cancelled.

use fault::codes;
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
    sea_query::Expr,
};
use serde_json::{Map, Value};

use super::{admin_orders, order_items, payment_intents, refunds};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    ledger::{
        invalid_state, letters,
        orders::{Paid, pay as take},
        seller, undo,
    },
    resource::{
        Field, Kind, ListSpec, Operations, Resource, Row, Spec,
        embed::{self, Children},
        show::{self, Lock},
        update,
    },
    sandbox::card::{Later, PAYMENT, Payment},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub number: String,
    pub user_id: Option<Uuid>,
    pub customer_name: String,
    pub email: String,
    pub source: String,
    pub status: String,
    pub currency: String,
    pub subtotal: Decimal,
    pub discount: Decimal,
    pub shipping: Decimal,
    pub tax: Decimal,
    pub total: Decimal,
    pub refunded_total: Decimal,
    pub coupon_id: Option<Uuid>,
    pub coupon_code: Option<String>,
    pub paid_at: Option<DateTimeUtc>,
    pub cancelled_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const OWNER: Option<&[Who]> = Some(&[Who::Owner]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "orders",
        path: "/orders",
        table: "orders",
        owner: Some("userId"),
        fields: &[
            Field::text("number", "20").filled().server(),
            Field::reference("userId", "users").server(),
            Field::text("customerName", "80").filled().server(),
            Field::email("email").filled().server(),
            Field::one_of("source", &["ecommerce", "lms", "booking", "events"])
                .filled()
                .server(),
            Field::one_of(
                "status",
                &["pending", "paid", "partially_refunded", "refunded", "cancelled"],
            )
            .default("\"pending\"")
            .server(),
            Field::currency("currency").filled().server(),
            Field::money("subtotal").filled().server(),
            Field::money("discount").default("\"0.00\"").server(),
            Field::money("shipping").default("\"0.00\"").server(),
            Field::money("tax").default("\"0.00\"").server(),
            Field::money("total").filled().server(),
            Field::money("refundedTotal").default("\"0.00\"").server(),
            Field::reference("couponId", "coupons").server(),
            Field::text("couponCode", "30").server(),
            Field::timestamp("paidAt").server(),
            Field::timestamp("cancelledAt").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["status", "source"],
            ranges: &["createdAt", "total"],
            sort: &["createdAt", "total", "number"],
            search: &["number", "customerName", "email"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: OWNER,
            get: OWNER,
            ..Operations::NONE
        },
    };

    const EMBEDS: &'static [Field] = &[
        Field::array("items", &Kind::Object(order_items::Entity::ROW)).required(),
        Field::array("payments", &Kind::Object(payment_intents::Entity::ROW)).required(),
        Field::array("refunds", &Kind::Object(refunds::Entity::ROW)).required(),
    ];

    /// The caller's own rows, for every role; staff see all of them under `/admin/orders` and in
    /// the search, and may cancel any.
    async fn visible(call: &Call) -> Result<Condition> {
        let (all, route) = (Condition::all(), call.route());
        let for_staff = [CANCEL, "search"].contains(&route.operation);
        if route.resource == admin_orders::NAME || (for_staff && call.is_staff()) {
            return Ok(all);
        }
        Ok(match call.caller() {
            Some(caller) => all.add(Column::UserId.eq(caller.id)),
            None => all.add(Expr::value(false)),
        })
    }

    async fn narrow(call: &Call, _params: &Map<String, Value>) -> Result<Condition> {
        admin_orders::narrow(call)
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], whole: bool) -> Result<()> {
        if whole {
            embed::children(call, rows, &CHILDREN).await?;
        }
        Ok(())
    }
}

/// What an order shows besides itself.
const CHILDREN: [Children; 3] = [
    Children {
        name: "items",
        spec: order_items::Entity::SPEC,
        parent: "orderId",
        order: "position, id",
    },
    Children {
        name: "payments",
        spec: payment_intents::Entity::SPEC,
        parent: "orderId",
        order: "created_at, id",
    },
    Children {
        name: "refunds",
        spec: refunds::Entity::SPEC,
        parent: "orderId",
        order: "created_at, id",
    },
];

const CANCEL: &str = "cancel";

/// The routes beside the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/orders/{id}/pay", "pay", pay)
            .who(&[Who::Owner])
            .body(const { &[Field::object("payment", &PAYMENT)] })
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE, codes::PAYMENT_DECLINED])
            .idempotent()
            .audited(),
        Route::post("/orders/{id}/cancel", CANCEL, cancel)
            .who(&[Who::Owner, Who::Staff])
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE])
            .audited(),
    ]
}

/// Takes the card payment for a pending order.
async fn pay(call: Call) -> Result<Answer> {
    let Payment::Card(card) = Payment::read(call.body(), Later::Refused, call.now())? else {
        return Err(invalid_state("A pending order is paid by card here.").into());
    };
    let before = show::find::<Entity>(&call, call.parameter("id"), Lock::Update).await?;
    let after = match take(&call, &before, &card).await? {
        Paid::Declined(fault) => return Ok(Answer::refused(fault)),
        Paid::Order(order) => *order,
    };
    paid(&call, &before, after).await
}

/// What follows from paying a pending order later, and the answer.
pub(super) async fn paid(call: &Call, before: &Model, after: Model) -> Result<Answer> {
    if let Some(seller) = seller::of(&after) {
        (seller.money)(call.clone(), after.clone(), after.total).await?;
    }
    letters::paid(call, &after).await?;
    update::answer::<Entity>(call, before, after).await
}

/// Cancels a pending order, the selling module's side first: it locks its rows before the ledger does everywhere.
async fn cancel(call: Call) -> Result<Answer> {
    let before = show::find::<Entity>(&call, call.parameter("id"), Lock::None).await?;
    if before.status != "pending" {
        return Err(invalid_state(format!(
            "This order is {}; only a pending one can be cancelled.",
            before.status
        ))
        .into());
    }
    if let Some(seller) = seller::of(&before) {
        (seller.cancelling)(call.clone(), before.clone()).await?;
    }
    let after = undo::cancel(&call, before.id).await?;
    update::answer::<Entity>(&call, &before, after).await
}
