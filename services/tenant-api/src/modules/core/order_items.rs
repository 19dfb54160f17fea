//! Lines of orders; shown within their order.

use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};

use crate::resource::{Field, ListSpec, Operations, Resource, Spec};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_items")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub order_id: Uuid,
    pub kind: String,
    pub ref_id: Option<Uuid>,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i32,
    pub unit_price: Decimal,
    pub line_total: Decimal,
    pub position: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "order-items",
        path: "",
        table: "order_items",
        owner: None,
        fields: &[
            Field::reference("orderId", "orders").filled().server(),
            Field::one_of("kind", &["product", "course", "booking", "event_ticket"])
                .filled()
                .server(),
            Field::uuid("refId").server(),
            Field::text("title", "200").filled().server(),
            Field::text("sku", "40").server(),
            Field::int("quantity").filled().min("1").max("99").server(),
            Field::money("unitPrice").filled().min("0").server(),
            Field::money("lineTotal").filled().min("0").server(),
            Field::int("position").default("0").server(),
        ],
        versioned: false,
        list: ListSpec::PLAIN,
        operations: Operations::NONE,
    };
}
