//! Money given back; shown within its order.

use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};

use crate::resource::{Field, ListSpec, Operations, Resource, Spec};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub order_id: Uuid,
    pub payment_id: Option<Uuid>,
    pub amount: Decimal,
    pub reason: String,
    pub created_by_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "refunds",
        path: "",
        table: "refunds",
        owner: None,
        fields: &[
            Field::reference("orderId", "orders").filled().server(),
            Field::reference("paymentId", "payments").server(),
            Field::money("amount").filled().min("0.01").server(),
            Field::text("reason", "200").filled().server(),
            Field::reference("createdById", "users").server(),
        ],
        versioned: false,
        list: ListSpec::PLAIN,
        operations: Operations::NONE,
    };
}
