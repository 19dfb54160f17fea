//! The history of a product's stock.

use sea_orm::{
    ActiveModelBehavior, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter,
    PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::products::{self, MERCHANTS};
use crate::{
    http::{Call, Result},
    resource::{Field, ListSpec, Operations, Resource, Spec, permit::permit},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_stock_movements")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub product_id: Uuid,
    pub reason: String,
    pub delta: i32,
    pub stock_after: i32,
    pub shop_order_id: Option<Uuid>,
    pub note: Option<String>,
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
        name: "stock-movements",
        path: "/products/{productId}/stock-movements",
        table: "ecommerce_stock_movements",
        owner: None,
        fields: &[
            Field::reference("productId", "ecommerce_products").required().server(),
            Field::one_of("reason", &["initial", "sale", "cancel", "return", "adjustment"])
                .required()
                .server(),
            Field::int("delta").required().server(),
            Field::int("stockAfter").required().min("0").server(),
            Field::reference("shopOrderId", "ecommerce_orders").server(),
            Field::text("note", "200").server(),
            Field::reference("createdById", "users").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["reason"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: MERCHANTS,
            ..Operations::NONE
        },
    };

    async fn parent(call: &Call) -> Result<Map<String, Value>> {
        let product = products::parent(call).await?;
        permit::<products::Entity>(call, Some(&product)).await?;
        Ok(Map::from_iter([("productId".to_owned(), json!(product.id))]))
    }

    async fn visible(_call: &Call) -> Result<Condition> {
        // Whoever may list them may see all of the product's.
        Ok(Condition::all())
    }
}
