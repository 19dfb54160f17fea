//! Sellers of the marketplace.

use fault::{Fault, codes};
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, FromQueryResult, PrimaryKeyTrait, QueryResult,
    prelude::{DateTimeUtc, Decimal, Uuid},
};
use serde_json::{Map, Value, json};

use super::rows;
use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{
        Field, ListSpec, Operations, Resource, Shape, Spec, create, permit::permit, present, show, update, value,
    },
    sandbox::{
        address,
        mail::{self, Mail},
    },
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ecommerce_sellers")]
#[expect(missing_docs, reason = "columns are described in docs/contract/ecommerce.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    pub name: String,
    pub slug: String,
    pub description: Option<String>,
    pub email: String,
    pub logo_id: Option<Uuid>,
    pub commission_rate: Decimal,
    pub status: String,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);
const ADMIN: Option<&[Who]> = Some(&[Who::Admin]);
const APPLICATION: &[Field] = &[
    Field::text("name", "80").required(),
    Field::text("description", "1000"),
    Field::email("email").required(),
];

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "sellers",
        path: "/sellers",
        table: "ecommerce_sellers",
        owner: Some("userId"),
        fields: &[
            Field::reference("userId", "users").by_admin(),
            Field::text("name", "80").required(),
            Field::slug("slug"),
            Field::text("description", "1000"),
            Field::email("email").required().for_owner(),
            Field::reference("logoId", "uploads"),
            Field::decimal("commissionRate", 2)
                .default("\"12.00\"")
                .min("0")
                .max("100")
                .by_admin()
                .for_owner(),
            Field::one_of("status", &["pending", "approved", "suspended"])
                .default("\"pending\"")
                .server(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["status"],
            sort: &["name", "createdAt"],
            default_sort: "name",
            search: &["name", "description"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: ADMIN,
            update: Some(&[Who::Owner, Who::Admin]),
            delete: ADMIN,
        },
    };

    async fn visible(call: &Call) -> Result<Condition> {
        if call.is_staff() {
            return Ok(Condition::all());
        }
        let own = call.caller().map(|caller| Column::UserId.eq(caller.id));
        Ok(Condition::any().add(Column::Status.eq("approved")).add_option(own))
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn actions() -> Vec<Route> {
    vec![
        Route::post("/sellers/apply", "apply", apply)
            .who(&[Who::User])
            .body(APPLICATION)
            .created()
            .returns(Entity::ROW)
            .errors(&[codes::CONFLICT]),
        Route::post("/sellers/{id}/approve", "approve", approve)
            .who(&[Who::Admin])
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE]),
        Route::post("/sellers/{id}/suspend", "suspend", suspend)
            .who(&[Who::Admin])
            .returns(Entity::ROW)
            .errors(&[codes::INVALID_STATE]),
        Route::get("/sellers/{id}/summary", "summary", summary)
            .who(&[Who::Owner, Who::Staff])
            .returns(&SUMMARY),
    ]
}

/// Makes a pending seller for the caller.
async fn apply(call: Call) -> Result<Answer> {
    let mut values = call.body().clone();
    values.insert("userId".to_owned(), json!(call.user()?.id));
    let row = create::insert::<Entity>(&call, values).await?;
    let answer = create::created::<Entity>(&call, row.clone()).await?;
    Ok(answer.location(format!("/api/v1/ecommerce/sellers/{}", row.id)))
}

async fn approve(call: Call) -> Result<Answer> {
    let (before, after) = decide(&call, &["pending", "suspended"], "approved").await?;
    update::answer::<Entity>(&call, &before, after).await
}

async fn suspend(call: Call) -> Result<Answer> {
    // Whoever is writing a product ends first; a seller who waits is no approved one any more, and refused at the end.
    call.run("LOCK TABLE ecommerce_products IN EXCLUSIVE MODE", []).await?;
    let (before, after) = decide(&call, &["pending", "approved"], "suspended").await?;
    let sql = "UPDATE ecommerce_products SET status = 'draft', version = version + 1, updated_at = $2 \
               WHERE seller_id = $1 AND status = 'active'";
    call.closing().write(sql, [after.id.into(), call.now().into()]);
    update::answer::<Entity>(&call, &before, after).await
}

/// Changes the state and tells the seller; the row before and after.
async fn decide(call: &Call, from: &[&str], to: &str) -> Result<(Model, Model)> {
    let before = show::find::<Entity>(call, call.parameter("id"), show::Lock::Update).await?;
    if !from.contains(&before.status.as_str()) {
        let message = format!(
            "The seller is {}; this step needs {}.",
            before.status,
            from.join(" or ")
        );
        return Err(Fault::new(codes::INVALID_STATE, message).into());
    }
    let after = update::write_later::<Entity>(call, &before, &Map::from_iter([("status".to_owned(), json!(to))]))?;
    let word = if to == "approved" { "approved" } else { "suspended" };
    let mail = Mail {
        to: &after.email,
        name: Some(&after.name),
        template: "ecommerce.seller-decision",
        subject: format!("{} was {word}", after.name),
        lines: vec![format!("Your seller account {} was {word}.", after.name)],
        action: Some(("Open the seller's page", format!("/sellers/{}", after.slug))),
    };
    mail::send(call, mail).await?;
    Ok((before, after))
}

/// What a seller sold, in JSON.
const SUMMARY: Shape = Shape::of(
    "SellerSummary",
    &[
        Field::int("products").required(),
        Field::int("unitsSold").required(),
        Field::money("gross").required(),
        Field::money("commission").required(),
        Field::money("net").required(),
    ],
);

/// What a seller sold: lines of orders that are not cancelled or returned.
async fn summary(call: Call) -> Result<Answer> {
    let seller = show::find::<Entity>(&call, call.parameter("id"), show::Lock::None).await?;
    permit::<Entity>(&call, Some(&seller)).await?;
    let sql = "SELECT (SELECT count(*) FROM ecommerce_products WHERE seller_id = $1) AS products, \
               COALESCE(sum(i.quantity), 0)::bigint AS units, COALESCE(sum(i.line_total), 0) AS gross, \
               COALESCE(sum(round(i.line_total * $2 / 100, 2)), 0) AS commission FROM ecommerce_order_items l JOIN order_items i ON i.id = l.order_item_id \
               JOIN ecommerce_orders o ON o.id = l.shop_order_id AND o.fulfilment NOT IN ('cancelled', 'returned') WHERE l.seller_id = $1";
    let found = rows(&call, sql, vec![seller.id.into(), seller.commission_rate.into()]).await?;
    let row = found.first().ok_or_else(Fault::not_found)?;
    let (gross, commission): (Decimal, Decimal) = (row.try_get("", "gross")?, row.try_get("", "commission")?);
    Ok(Answer::data(json!({
        "products": row.try_get::<i64>("", "products")?,
        "unitsSold": row.try_get::<i64>("", "units")?,
        "gross": value::money(gross),
        "commission": value::money(commission),
        "net": value::money(gross - commission),
    })))
}

/// The role that an approved seller's user holds.
const ROLE: &str = "ecommerce.seller";

/// The approved seller behind the caller, when there is one.
///
/// # Errors
/// When the database refuses.
pub async fn of_caller(call: &Call) -> Result<Option<Uuid>> {
    let Some(caller) = call.caller() else { return Ok(None) };
    if let Some((_, seller)) = caller.held.iter().find(|(role, _)| *role == ROLE) {
        return Ok(*seller);
    }
    // On a page of core.
    let sql = "SELECT id FROM ecommerce_sellers WHERE user_id = $1 AND status = 'approved'";
    let found = call.row(sql, [caller.id.into()]).await?;
    Ok(found.map(|row| row.try_get("", "id")).transpose()?)
}

/// Refuses what the caller writes when the seller is suspended meanwhile.
///
/// # Errors
/// 401 without a caller.
pub(super) fn must_stay_approved(call: &Call) -> Result<()> {
    let user = call.user()?.id;
    let condition = "EXISTS (SELECT FROM ecommerce_sellers WHERE user_id = $1 AND status = 'approved')";
    let refusal = Fault::new(codes::FORBIDDEN, "Your seller account is not approved.");
    call.closing().require(condition, [user.into()], refusal);
    Ok(())
}

/// A seller as other rows embed it, from columns that begin with `seller_`, with its logo's content key in
/// `seller_key`; `None` where they are null, and
/// for callers who may not see the seller.
pub(super) async fn card(call: &Call, row: &QueryResult) -> Result<Option<Value>> {
    let Some(model) = Model::from_query_result_optional(row, "seller_")? else {
        return Ok(None);
    };
    let is_own = call.caller().is_some_and(|caller| model.user_id == Some(caller.id));
    if !(model.status == "approved" || is_own || call.is_staff()) {
        return Ok(None);
    }
    let mut json = present::fields::<Entity>(call, &model).await?;
    let logo: Option<String> = row.try_get("", "seller_key")?;
    json.insert("logoUrl".to_owned(), json!(logo.map(|key| address::of(call, &key))));
    Ok(Some(Value::Object(json)))
}
