//! Orders of the shop: what was bought, and how far its way to the buyer is. The money side is the ledger's.

use std::collections::HashMap;

use fault::{Fault, codes};
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, FromQueryResult, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Decimal, Json, Uuid},
    sea_query::Expr,
};
use serde_json::{Map, Value, json};

use super::{order_lines, rows, sellers, uuids};
use crate::{
    http::{Call, Result, Who},
    resource::{Field, Kind, ListSpec, Operations, Resource, Row, Shape, Spec, select::pattern, value::money},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_orders")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub order_id: Uuid,
    pub user_id: Option<Uuid>,
    pub fulfilment: String,
    pub shipping_method: String,
    pub shipping_address: Json,
    pub payment_method: String,
    pub customer_note: Option<String>,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
    pub shipped_at: Option<DateTimeUtc>,
    pub delivered_at: Option<DateTimeUtc>,
    pub cancelled_at: Option<DateTimeUtc>,
    pub cancel_reason: Option<String>,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const READERS: Option<&[Who]> = Some(&[Who::Owner, Who::Staff, Who::Module("seller")]);
const STATES: &[&str] = &[
    "unfulfilled",
    "processing",
    "shipped",
    "delivered",
    "cancelled",
    "returned",
];

/// Where goods go.
pub(super) const ADDRESS: Shape = Shape::of(
    "Address",
    &[
        Field::text("recipient", "80").required(),
        Field::text("line1", "120").required(),
        Field::text("line2", "120"),
        Field::text("city", "80").required(),
        Field::text("region", "80"),
        Field::text("postalCode", "16").required(),
        Field::text("country", "2").required().pattern("[A-Z]{2}"),
        Field::text("phone", "32"),
    ],
);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "orders",
        path: "/orders",
        table: "ecommerce_orders",
        owner: Some("userId"),
        fields: &[
            Field::reference("orderId", "orders").required().server(),
            Field::reference("userId", "users").server(),
            Field::one_of("fulfilment", STATES).default("\"unfulfilled\"").server(),
            Field::one_of("shippingMethod", &["standard", "express"])
                .required()
                .server(),
            Field::object("shippingAddress", &ADDRESS).required().server(),
            Field::one_of("paymentMethod", &["card", "on_delivery"])
                .required()
                .server(),
            Field::text("customerNote", "500").server(),
            Field::text("carrier", "60").server(),
            Field::text("trackingNumber", "60").server(),
            Field::timestamp("shippedAt").server(),
            Field::timestamp("deliveredAt").server(),
            Field::timestamp("cancelledAt").server(),
            Field::text("cancelReason", "200").server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["fulfilment", "shippingMethod", "paymentMethod", "userId"],
            ranges: &["createdAt"],
            params: &[Field::text("status", "100"), Field::uuid("sellerId")],
            sort: &["createdAt", "total", "number"],
            default_sort: "-createdAt",
            search: &["number", "customerName", "email"],
        },
        operations: Operations {
            list: READERS,
            get: READERS,
            ..Operations::NONE
        },
    };

    // A seller who is not the buyer gets no totals.
    const COMPUTED: &'static [Field] = &[
        Field::text("number", "20").required(),
        Field::one_of(
            "status",
            &["pending", "paid", "partially_refunded", "refunded", "cancelled"],
        )
        .required(),
        Field::text("customerName", "80").required(),
        Field::email("email").required(),
        Field::currency("currency").required(),
        Field::money("subtotal"),
        Field::money("discount"),
        Field::money("shipping"),
        Field::money("tax"),
        Field::money("total"),
        Field::int("itemCount").required(),
    ];
    const EMBEDS: &'static [Field] = &[Field::array("items", &Kind::Object(&order_lines::LINE)).required()];

    async fn visible(call: &Call) -> Result<Condition> {
        let caller = call.user()?.id;
        if call.is_staff() && call.query().get("mine") != Some("true") {
            return Ok(Condition::all());
        }
        let sold = sellers::of_caller(call)
            .await?
            .filter(|_| call.query().get("mine") != Some("true"))
            .map(has_line_of);
        Ok(Condition::any().add(Column::UserId.eq(caller)).add_option(sold))
    }

    async fn narrow(_call: &Call, params: &Map<String, Value>) -> Result<Condition> {
        let mut all = Condition::all();
        if let Some(words) = params.get("status").and_then(Value::as_str) {
            let words: Vec<&str> = words.split(',').map(str::trim).collect();
            let known = ["pending", "paid", "partially_refunded", "refunded", "cancelled"];
            if words.iter().any(|word| !known.contains(word)) {
                return Err(Fault::field("status", format!("must be a comma list of {}", known.join(", "))).into());
            }
            let within = "\"ecommerce_orders\".\"order_id\" IN (SELECT id FROM orders WHERE status = ANY(string_to_array($1, ',')))";
            all = all.add(Expr::cust_with_values(within, [words.join(",")]));
        }
        if let Some(seller) = params
            .get("sellerId")
            .and_then(Value::as_str)
            .and_then(|id| Uuid::try_parse(id).ok())
        {
            all = all.add(has_line_of(seller));
        }
        Ok(all)
    }

    fn sort_key(name: &str) -> Option<Expr> {
        let column = match name {
            "total" => "total",
            "number" => "number",
            _ => return None,
        };
        Some(Expr::cust(format!(
            "(SELECT o.\"{column}\" FROM orders o WHERE o.id = \"ecommerce_orders\".\"order_id\")"
        )))
    }

    fn search(words: &[String]) -> Condition {
        let found = "EXISTS (SELECT 1 FROM orders o WHERE o.id = \"ecommerce_orders\".\"order_id\" \
                     AND (o.number ILIKE $1 OR o.customer_name ILIKE $1 OR o.email ILIKE $1))";
        words.iter().fold(Condition::all(), |all, word| {
            all.add(Expr::cust_with_values(found, [pattern(word)]))
        })
    }

    async fn extend(call: &Call, shown: &mut [Row<Self>], whole: bool) -> Result<()> {
        let seller = if call.is_staff() {
            None
        } else {
            sellers::of_caller(call).await?
        };
        let ledger = ledger_of(call, shown, seller, whole).await?;
        let caller = call.caller().map(|caller| caller.id);
        for row in shown {
            let Some(order) = ledger.get(&row.model.order_id) else {
                continue;
            };
            // A seller who is not the buyer sees own lines and no totals.
            let is_seller = seller.is_some() && (caller.is_none() || row.model.user_id != caller);
            order.show(&mut row.json, is_seller);
            if whole {
                let items = order.items.clone().unwrap_or_else(|| json!([]));
                row.json.insert("items".to_owned(), items);
            }
        }
        Ok(())
    }
}

fn has_line_of(seller: Uuid) -> Expr {
    let sold = "EXISTS (SELECT 1 FROM ecommerce_order_items l WHERE l.shop_order_id = \"ecommerce_orders\".\"id\" AND l.seller_id = $1)";
    Expr::cust_with_values(sold, [seller])
}

/// What the ledger says of an order.
#[derive(Clone, Debug, FromQueryResult)]
struct Ledger {
    id: Uuid,
    number: String,
    status: String,
    customer_name: String,
    email: String,
    currency: String,
    subtotal: Decimal,
    discount: Decimal,
    shipping: Decimal,
    tax: Decimal,
    total: Decimal,
    item_count: i64,
    items: Option<Json>,
}

impl Ledger {
    fn show(&self, json: &mut Map<String, Value>, without_totals: bool) {
        for (name, text) in [
            ("number", &self.number),
            ("status", &self.status),
            ("customerName", &self.customer_name),
            ("email", &self.email),
            ("currency", &self.currency),
        ] {
            json.insert(name.to_owned(), json!(text));
        }
        let totals = [
            ("subtotal", self.subtotal),
            ("discount", self.discount),
            ("shipping", self.shipping),
            ("tax", self.tax),
            ("total", self.total),
        ];
        for (name, amount) in totals {
            json.insert(
                name.to_owned(),
                if without_totals {
                    Value::Null
                } else {
                    json!(money(amount))
                },
            );
        }
        json.insert("itemCount".to_owned(), json!(self.item_count));
    }
}

/// `seller` counts and shows own lines only, where the order is not the caller's.
async fn ledger_of(
    call: &Call,
    shown: &[Row<Entity>],
    seller: Option<Uuid>,
    with_lines: bool,
) -> Result<HashMap<Uuid, Ledger>> {
    let ids: Vec<Uuid> = shown.iter().map(|row| row.model.order_id).collect();
    let lines = if with_lines {
        order_lines::column()
    } else {
        "NULL::json".to_owned()
    };
    let sql = format!(
        "SELECT o.id, o.number, o.status, o.customer_name, o.email, o.currency, o.subtotal, o.discount, o.shipping, o.tax, o.total, \
         COALESCE((SELECT sum(i.quantity) FROM order_items i LEFT JOIN ecommerce_order_items l ON l.order_item_id = i.id WHERE i.order_id = o.id \
         AND ($2::uuid IS NULL OR o.user_id = $3 OR l.seller_id = $2)), 0) AS item_count, {lines} AS items FROM orders o WHERE o.id = ANY($1)"
    );
    let caller = call.caller().map(|caller| caller.id);
    let mut ledger = HashMap::new();
    for row in rows(call, &sql, vec![uuids(&ids), seller.into(), caller.into()]).await? {
        let order = Ledger::from_query_result(&row, "")?;
        ledger.insert(order.id, order);
    }
    Ok(ledger)
}

/// The refusal of a step that the present state does not allow.
pub(super) fn invalid_state(row: &Model, from: &[&str]) -> Fault {
    let message = format!(
        "The order is {}; this step needs {}.",
        row.fulfilment,
        from.join(" or ")
    );
    Fault::new(codes::INVALID_STATE, message)
}
