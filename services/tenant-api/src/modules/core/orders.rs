//! Orders of the one ledger. Modules make them; here they are shown, paid and cancelled.

use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
    sea_query::Expr,
};

use crate::{
    http::{Call, Result, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec},
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

    /// The caller's own rows, for every role; staff see all of them under `/admin/orders`.
    async fn visible(call: &Call) -> Result<Condition> {
        let all = Condition::all();
        if call.route().resource == super::admin_orders::NAME {
            return Ok(all);
        }
        Ok(match call.caller() {
            Some(caller) => all.add(Column::UserId.eq(caller.id)),
            None => all.add(Expr::value(false)),
        })
    }
}
