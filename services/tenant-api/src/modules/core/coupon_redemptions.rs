//! Which orders used a coupon.

use fault::Fault;
use rust_decimal::Decimal;
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Map, Value, json};

use super::coupons;
use crate::{
    http::{Call, Result, Who},
    resource::{Field, ListSpec, Operations, Resource, Spec},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "coupon_redemptions")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub coupon_id: Uuid,
    pub order_id: Uuid,
    pub user_id: Option<Uuid>,
    pub amount: Decimal,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "coupon-redemptions",
        path: "/coupons/{couponId}/redemptions",
        table: "coupon_redemptions",
        owner: None,
        fields: &[
            Field::reference("couponId", "coupons").filled().server(),
            Field::reference("orderId", "orders").filled().server(),
            Field::reference("userId", "users").server(),
            Field::money("amount").filled().server(),
        ],
        versioned: false,
        list: ListSpec {
            sort: &["createdAt", "amount"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: Some(&[Who::Staff]),
            ..Operations::NONE
        },
    };

    async fn parent(call: &Call) -> Result<Map<String, Value>> {
        let id = call.id("couponId")?;
        let coupon = coupons::Entity::find_by_id(id).one(call.tx()).await?;
        let coupon = coupon.ok_or_else(Fault::not_found)?;
        Ok(Map::from_iter([("couponId".to_owned(), json!(coupon.id))]))
    }
}
