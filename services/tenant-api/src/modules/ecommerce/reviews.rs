//! Reviews of products; a product's rating follows them in the same transaction.

use fault::{Code, Fault, Kind};
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Decimal, Uuid},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{products, rows, uuids};
use crate::{
    http::{Answer, Call, Result, Route, Who},
    modules::core::{
        notifications::{To, notify},
        orders, users,
    },
    resource::{Change, Field, ListSpec, Operations, Resource, Row, Spec, permit::permit, show, update, value},
    settings::Settings,
};

/// The user has a review for this product.
const ALREADY_REVIEWED: Code = Code::new("ALREADY_REVIEWED", Kind::Conflict);

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_reviews")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub product_id: Uuid,
    pub user_id: Uuid,
    pub rating: i32,
    pub title: Option<String>,
    pub body: Option<String>,
    pub status: String,
    pub is_verified: bool,
    pub reply: Option<String>,
    pub replied_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);
const OWN: Option<&[Who]> = Some(&[Who::Owner, Who::Staff]);
const STATES: &[&str] = &["pending", "published", "rejected"];

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "reviews",
        path: "/reviews",
        table: "ecommerce_reviews",
        owner: Some("userId"),
        fields: &[
            Field::reference("productId", "ecommerce_products")
                .required()
                .create_only(),
            Field::reference("userId", "users").required().server(),
            Field::int("rating").required().min("1").max("5"),
            Field::text("title", "100"),
            Field::text("body", "2000"),
            Field::one_of("status", STATES).default("\"published\"").by_staff(),
            Field::bool("isVerified").default("false").server(),
            Field::text("reply", "1000").server(),
            Field::timestamp("repliedAt").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["productId", "userId", "rating", "status", "isVerified"],
            sort: &["createdAt", "rating"],
            search: &["title", "body"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: Some(&[Who::User]),
            update: OWN,
            delete: OWN,
        },
    };

    const COMPUTED: &'static [Field] = &[Field::object("author", &users::USER_CARD).required()];
    const CREATE_ERRORS: &'static [Code] = &[ALREADY_REVIEWED];

    async fn visible(call: &Call) -> Result<Condition> {
        if call.is_staff() {
            return Ok(Condition::all());
        }
        let own = call.caller().map(|caller| Column::UserId.eq(caller.id));
        Ok(Condition::any().add(Column::Status.eq("published")).add_option(own))
    }

    async fn holds(call: &Call, role: &'static str, row: Option<&Model>) -> Result<bool> {
        let Some(row) = row else { return Ok(false) };
        let product = products::Entity::find_by_id(row.product_id).one(call.tx()).await?;
        match product {
            Some(product) => products::Entity::holds(call, role, Some(&product)).await,
            None => Ok(false),
        }
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let product = change
            .before
            .map(|row| row.product_id)
            .or_else(|| change.id("productId"));
        // Locked, so that two reviews at once both count in the product's rating.
        let sql = "SELECT p.status, EXISTS (SELECT 1 FROM ecommerce_reviews r WHERE r.product_id = p.id AND r.user_id = $2) AS reviewed, \
                   EXISTS (SELECT 1 FROM ecommerce_order_items l JOIN ecommerce_orders s ON s.id = l.shop_order_id JOIN orders o ON o.id = s.order_id \
                     WHERE l.product_id = p.id AND s.user_id = $2 AND o.status IN ('paid', 'partially_refunded')) AS bought \
                   FROM ecommerce_products p WHERE p.id = $1 FOR UPDATE OF p";
        let user = call.user()?.id;
        let found = rows(call, sql, vec![product.into(), user.into()]).await?;
        let row = found
            .first()
            .ok_or_else(|| Fault::field("productId", "names a row that does not exist"))?;
        let publishes = Settings::load(call).await?.bool("ecommerce.reviewsAutoPublish");
        if change.is_create() {
            if row.try_get::<String>("", "status")? != "active" {
                return Err(Fault::field("productId", "names no product that is for sale").into());
            }
            if row.try_get("", "reviewed")? {
                return Err(already_reviewed().into());
            }
            change.set("userId", json!(user));
            change.set("isVerified", json!(row.try_get::<bool>("", "bought")?));
        }
        // Staff who say what becomes of it are heard.
        if !publishes && !call.raw().json()?.contains_key("status") {
            change.set("status", json!("pending"));
        }
        Ok(())
    }

    /// The same user's other request won while this one waited for the product.
    fn taken() -> Option<Fault> {
        Some(already_reviewed())
    }

    async fn written(call: &Call, before: Option<&Model>, after: &Model) -> Result<()> {
        rate(call, &[after.product_id]);
        if before.is_none() {
            let who = &call.user()?.name;
            let title = format!("{who} wrote a review with {} of 5", after.rating);
            let body = after.title.as_deref();
            notify(
                call,
                To::Staff,
                "ecommerce.review-posted",
                &title,
                body,
                "/shop/reviews",
            );
        }
        Ok(())
    }

    async fn deleting(call: &Call, row: &Model) -> Result<()> {
        let sql = "SELECT id FROM ecommerce_products WHERE id = $1 FOR UPDATE";
        call.run(sql, [row.product_id.into()]).await?;
        rate(call, &[row.product_id]);
        Ok(())
    }

    async fn extend(call: &Call, shown: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let ids: Vec<Uuid> = shown.iter().map(|row| row.model.user_id).collect();
        let cards = users::cards(call, &ids).await?;
        for row in shown {
            row.json
                .insert("author".to_owned(), json!(cards.get(&row.model.user_id)));
        }
        Ok(())
    }
}

fn already_reviewed() -> Fault {
    let message = "You have reviewed this product. Change that review instead.";
    Fault::new(ALREADY_REVIEWED, message)
}

/// Makes the ratings of locked products true, at the end of the request.
fn rate(call: &Call, products: &[Uuid]) {
    let sql = "UPDATE ecommerce_products p SET (rating_count, rating_average) = (SELECT count(*), COALESCE(round(avg(r.rating), 2), 0) \
               FROM ecommerce_reviews r WHERE r.product_id = p.id AND r.status = 'published') WHERE p.id = ANY ($1)";
    call.closing().write(sql, [uuids(products)]);
}

/// An order of the ledger was paid, or money of it went back: what its user wrote of its products is a buyer's word as
/// long as one of the user's orders of them is paid. Written at the end of the request.
pub(super) fn verify(call: &Call, order: &orders::Model) {
    let sql = "UPDATE ecommerce_reviews r SET is_verified = $3 OR EXISTS (SELECT 1 FROM ecommerce_order_items l \
                 JOIN ecommerce_orders s ON s.id = l.shop_order_id JOIN orders o ON o.id = s.order_id \
                 WHERE l.product_id = r.product_id AND s.user_id = $1 AND o.id <> $2 AND o.status IN ('paid', 'partially_refunded')) \
               WHERE r.user_id = $1 AND r.product_id IN (SELECT l.product_id FROM ecommerce_order_items l \
                 JOIN ecommerce_orders s ON s.id = l.shop_order_id WHERE s.order_id = $2)";
    let is_paid = matches!(order.status.as_str(), "paid" | "partially_refunded");
    let values = [order.user_id.into(), order.id.into(), is_paid.into()];
    call.closing().write(sql, values);
}

/// Before a user and the reviews go: the ratings of their products will be true.
///
/// # Errors
/// When the database refuses.
pub(super) async fn forget(call: &Call, user: Uuid) -> Result<()> {
    let sql = "SELECT p.id FROM ecommerce_products p JOIN ecommerce_reviews r ON r.product_id = p.id \
               WHERE r.user_id = $1 ORDER BY p.id FOR UPDATE OF p";
    let products = call.rows(sql, [user.into()]).await?;
    let products = products.iter().map(|row| row.try_get("", "id"));
    rate(call, &products.collect::<Result<Vec<_>, _>>()?);
    Ok(())
}

/// Routes besides the standard ones.
#[must_use]
pub fn actions() -> Vec<Route> {
    const QUERY: &[Field] = &[Field::uuid("productId").required()];
    const SUMMARY: &[Field] = &[
        Field::decimal("average", 2).required(),
        Field::int("count").required(),
        Field::map("byRating").required(),
    ];
    const REPLY: &[Field] = &[Field::text("reply", "1000")];
    vec![
        Route::post("/reviews/{id}/reply", "reply", reply)
            .who(&[Who::Staff, Who::Module("seller")])
            .body(REPLY)
            .returns(Entity::ROW),
        Route::get("/reviews/summary", "summary", summary)
            .query(QUERY)
            .returns_fields(SUMMARY),
    ]
}

async fn reply(call: Call) -> Result<Answer> {
    let before = show::find::<Entity>(&call, call.parameter("id"), show::Lock::Update).await?;
    permit::<Entity>(&call, Some(&before)).await?;
    let reply = call.body().get("reply").cloned().unwrap_or(Value::Null);
    let at = if reply.is_null() {
        Value::Null
    } else {
        json!(value::instant(call.now()))
    };
    let values = Map::from_iter([("reply".to_owned(), reply), ("repliedAt".to_owned(), at)]);
    let after = update::write_later::<Entity>(&call, &before, &values)?;
    update::answer::<Entity>(&call, &before, after).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    product_id: Uuid,
}

async fn summary(call: Call) -> Result<Answer> {
    let Of { product_id } = call.params()?;
    let sql = "SELECT rating, count(*) AS n FROM ecommerce_reviews WHERE product_id = $1 AND status = 'published' GROUP BY rating";
    let mut by_rating: Map<String, Value> = (1..=5).map(|rating| (rating.to_string(), json!(0))).collect();
    let (mut count, mut sum) = (0_i64, 0_i64);
    for row in rows(&call, sql, vec![product_id.into()]).await? {
        let (rating, n): (i32, i64) = (row.try_get("", "rating")?, row.try_get("", "n")?);
        by_rating.insert(rating.to_string(), json!(n));
        count += n;
        sum += n * i64::from(rating);
    }
    let average = if count == 0 {
        Decimal::ZERO
    } else {
        Decimal::from(sum) / Decimal::from(count)
    };
    Ok(Answer::data(
        json!({ "average": value::show_decimal(average, 2), "count": count, "byRating": by_rating }),
    ))
}
