//! Customers: made by the first checkout, kept true by every order.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Decimal, Uuid},
    sea_query::Expr,
};
use serde_json::{Map, Value, json};

use super::{rows, uuids};
use crate::{
    http::{Call, Result, Who},
    resource::{Field, ListSpec, Operations, Resource, Row, Spec, select::pattern},
};

/// From this much on a customer is a VIP.
const VIP: Decimal = Decimal::from_parts(50_000, 0, 0, false, 2);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_customers")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub notes: Option<String>,
    pub marketing_opt_in: bool,
    pub orders_count: i32,
    pub total_spent: Decimal,
    pub last_order_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const OWN: Option<&[Who]> = Some(&[Who::Owner, Who::Staff]);

const SEGMENTS: &[&str] = &["new", "returning", "vip"];

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "customers",
        path: "/customers",
        table: "ecommerce_customers",
        owner: Some("userId"),
        fields: &[
            Field::reference("userId", "users").required().server(),
            Field::text("notes", "1000").by_staff().for_staff(),
            Field::bool("marketingOptIn").default("false"),
            Field::int("ordersCount").default("0").server(),
            Field::money("totalSpent").default("\"0.00\"").server(),
            Field::timestamp("lastOrderAt").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["marketingOptIn"],
            ranges: &["totalSpent", "lastOrderAt"],
            params: &[Field::one_of("segment", SEGMENTS)],
            sort: &["totalSpent", "ordersCount", "lastOrderAt", "createdAt"],
            default_sort: "-totalSpent",
            search: &["name", "email"],
        },
        operations: Operations {
            list: Some(&[Who::Staff]),
            get: OWN,
            update: OWN,
            ..Operations::NONE
        },
    };

    const COMPUTED: &'static [Field] = &[
        Field::text("name", "80").required(),
        Field::email("email").required(),
        Field::one_of("segment", SEGMENTS).required(),
    ];

    async fn narrow(_call: &Call, params: &Map<String, Value>) -> Result<Condition> {
        let (vip, loyal) = (Column::TotalSpent.gte(VIP), Column::OrdersCount.gte(2));
        let all = Condition::all();
        Ok(match params.get("segment").and_then(Value::as_str) {
            Some("vip") => all.add(vip),
            Some("returning") => all.add(loyal).add(Column::TotalSpent.lt(VIP)),
            Some(_) => all.add(Column::OrdersCount.lt(2)).add(Column::TotalSpent.lt(VIP)),
            None => all,
        })
    }

    fn search(words: &[String]) -> Condition {
        let found = "EXISTS (SELECT 1 FROM users u WHERE u.id = \"ecommerce_customers\".\"user_id\" AND (u.name ILIKE $1 OR u.email ILIKE $1))";
        words.iter().fold(Condition::all(), |all, word| {
            all.add(Expr::cust_with_values(found, [pattern(word)]))
        })
    }

    async fn extend(call: &Call, shown: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let ids: Vec<Uuid> = shown.iter().map(|row| row.model.user_id).collect();
        let users = rows(
            call,
            "SELECT id, name, email FROM users WHERE id = ANY($1)",
            vec![uuids(&ids)],
        )
        .await?;
        for row in shown {
            for user in &users {
                if user.try_get::<Uuid>("", "id")? == row.model.user_id {
                    row.json
                        .insert("name".to_owned(), json!(user.try_get::<String>("", "name")?));
                    row.json
                        .insert("email".to_owned(), json!(user.try_get::<String>("", "email")?));
                }
            }
            row.json.insert(
                "segment".to_owned(),
                json!(segment(row.model.total_spent, row.model.orders_count)),
            );
        }
        Ok(())
    }
}

fn segment(spent: Decimal, orders: i32) -> &'static str {
    if spent >= VIP {
        "vip"
    } else if orders >= 2 {
        "returning"
    } else {
        "new"
    }
}

/// Notes a new order of a user, `paid` of it at once, at the end of the request.
pub(super) fn bought(call: &Call, user: Uuid, paid: Decimal) {
    let sql = "INSERT INTO ecommerce_customers (id, user_id, orders_count, total_spent, last_order_at) VALUES ($1, $2, 1, $3, $4) \
               ON CONFLICT (user_id) DO UPDATE SET orders_count = ecommerce_customers.orders_count + 1, \
               total_spent = ecommerce_customers.total_spent + excluded.total_spent, last_order_at = excluded.last_order_at, updated_at = excluded.last_order_at";
    let values = [Uuid::now_v7().into(), user.into(), paid.into(), call.now().into()];
    call.closing().insert("ecommerce_customers", sql, values);
}

/// Notes money that came in later (positive) or went back (negative), and orders that no longer count, at the end of
/// the request.
pub(super) fn adjust(call: &Call, user: Option<Uuid>, money: Decimal, orders: i32) {
    let sql = "UPDATE ecommerce_customers SET total_spent = GREATEST(total_spent + $2, 0), orders_count = GREATEST(orders_count + $3, 0), updated_at = $4 \
               WHERE user_id = $1";
    let values = [user.into(), money.into(), orders.into(), call.now().into()];
    call.closing().write(sql, values);
}
