//! Checkout: the cart becomes an order, in one transaction.
//!
//! Locks are taken in one order by everybody: the cart, its products by id, the coupon, then the ledger. All checks
//! come before the first write, so that a decline leaves cart, stock and coupon as they were.

use fault::{Code, Detail, Fault, Kind, codes};
use sea_orm::{
    ConnectionTrait, FromQueryResult,
    prelude::{DateTimeUtc, Decimal, Uuid},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    cart, customers,
    orders::{self, ADDRESS},
    products::OUT_OF_STOCK,
    reviews, rows, statement, stock,
};
use crate::{
    http::{Answer, Call, Result, Route, Who, answer::Subject},
    ledger::{
        Source, coupons,
        orders::{Buyer, Order, Placed, Purchase, place},
        pricing,
    },
    modules::core::notifications::{To, notify},
    resource::{Field, Resource, create, present, value::money},
    sandbox::{
        card::{Later, PAYMENT, Payment},
        mail::{self, Mail},
    },
    settings::Settings,
};

/// Checkout of a cart without lines.
const CART_EMPTY: Code = Code::new("CART_EMPTY", Kind::Conflict);
/// A product in the cart is no longer active.
const PRODUCT_UNAVAILABLE: Code = Code::new("PRODUCT_UNAVAILABLE", Kind::Conflict);

/// Lines that the buyer's mail lists at most: a mail holds 20,000 characters.
const LISTED: usize = 40;

/// The route.
#[must_use]
pub fn routes() -> Vec<Route> {
    const BODY: &[Field] = &[
        Field::reference("addressId", "user_addresses"),
        Field::object("address", &ADDRESS),
        Field::one_of("shippingMethod", &["standard", "express"]).default("\"standard\""),
        Field::object("payment", &PAYMENT),
        Field::text("note", "500"),
        Field::money("expectedTotal"),
    ];
    const ERRORS: &[Code] = &[
        CART_EMPTY,
        PRODUCT_UNAVAILABLE,
        OUT_OF_STOCK,
        codes::COUPON_INVALID,
        codes::TOTAL_CHANGED,
        codes::PAYMENT_DECLINED,
    ];
    vec![
        Route::post("/cart/checkout", "checkout", checkout)
            .who(&[Who::User])
            .body(BODY)
            .created()
            .returns(orders::Entity::ROW)
            .errors(ERRORS)
            .idempotent()
            .audited(),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    address_id: Option<Uuid>,
    address: Option<Value>,
    shipping_method: String,
    note: Option<String>,
    expected_total: Option<Decimal>,
}

/// A line of the cart with its product, locked.
#[derive(Clone, Debug, FromQueryResult)]
struct Line {
    product_id: Uuid,
    quantity: i32,
    name: String,
    slug: String,
    sku: String,
    price: Decimal,
    stock: i32,
    low_stock_at: i32,
    status: String,
    seller_id: Option<Uuid>,
    added: DateTimeUtc,
    item: Uuid,
}

async fn checkout(call: Call) -> Result<Answer> {
    let wanted: Wanted = call.read()?;
    let payment = Payment::read(call.body(), Later::Allowed, call.now())?;
    let buyer = Buyer::from(call.user()?);
    let address = address(&call, &wanted, buyer.id).await?;
    let empty = || Fault::new(CART_EMPTY, "The cart is empty.");
    let cart = cart::lock(&call, buyer.id).await?.ok_or_else(empty)?;
    let lines = lines(&call, cart.id).await?;
    if lines.is_empty() {
        return Err(empty().into());
    }
    check(&lines)?;

    let settings = Settings::load(&call).await?;
    let sold: Vec<pricing::Line> = lines.iter().map(sold).collect();
    let subtotal = pricing::subtotal(&sold);
    let coupon = coupons::claim(
        &call,
        cart.coupon_code.as_deref(),
        buyer.id,
        Source::Ecommerce,
        subtotal,
    )
    .await?;
    let goods = subtotal - coupon.as_ref().map_or(Decimal::ZERO, |claim| claim.discount);
    let method = payment.method();
    let purchase = Purchase {
        source: Source::Ecommerce,
        lines: sold,
        coupon,
        shipping: cart::shipping(&settings, &wanted.shipping_method, goods),
        payment,
        expected_total: wanted.expected_total,
        buyer,
    };
    match place(&call, purchase).await? {
        Placed::Declined(fault) => Ok(Answer::refused(fault)),
        Placed::Order(order) => finish(&call, &order, &lines, cart.id, &wanted, address, method).await,
    }
}

/// Exactly one of an own address and a written one.
async fn address(call: &Call, wanted: &Wanted, user: Uuid) -> Result<Value> {
    match (wanted.address_id, &wanted.address) {
        (None, Some(address)) => Ok(address.clone()),
        (Some(id), None) => {
            let sql = "SELECT jsonb_build_object('recipient', recipient, 'line1', line1, 'line2', line2, 'city', city, 'region', region, \
                       'postalCode', postal_code, 'country', country, 'phone', phone) AS address FROM user_addresses WHERE id = $1 AND user_id = $2";
            let found = rows(call, sql, vec![id.into(), user.into()]).await?;
            let row = found
                .first()
                .ok_or_else(|| Fault::field("addressId", "names no address of yours"))?;
            Ok(row.try_get("", "address")?)
        }
        (Some(_), Some(_)) => Err(Fault::field("address", "must be left out when addressId is sent").into()),
        (None, None) => Err(Fault::field("address", "is required, or addressId").into()),
    }
}

async fn lines(call: &Call, cart: Uuid) -> Result<Vec<Line>> {
    // Locked in the order of ids: two carts with the same products cannot wait for each other. The lines too, so that
    // what is added meanwhile stays in the cart.
    let sql = "SELECT i.product_id, i.quantity, p.name, p.slug, p.sku, p.price, p.stock, p.low_stock_at, p.status, p.seller_id, \
               i.created_at AS added, i.id AS item \
               FROM ecommerce_cart_items i JOIN ecommerce_products p ON p.id = i.product_id WHERE i.cart_id = $1 ORDER BY p.id FOR UPDATE OF p, i";
    let found = rows(call, sql, vec![cart.into()]).await?;
    let mut lines = found
        .iter()
        .map(|row| Line::from_query_result(row, ""))
        .collect::<Result<Vec<_>, _>>()?;
    // From here on as the cart shows them: refusals name them by their place.
    lines.sort_by_key(|line| (line.added, line.item));
    Ok(lines)
}

/// Whether everything is for sale and in stock.
fn check(lines: &[Line]) -> Result<(), Fault> {
    let gone: Vec<&str> = lines
        .iter()
        .filter(|line| line.status != "active")
        .map(|line| line.name.as_str())
        .collect();
    if !gone.is_empty() {
        return Err(Fault::new(
            PRODUCT_UNAVAILABLE,
            format!("No longer for sale: {}.", gone.join(", ")),
        ));
    }
    let short: Vec<Detail> = (0..)
        .zip(lines)
        .filter(|(_, line)| line.quantity > line.stock)
        .map(|(i, line): (usize, &Line)| Detail::new(format!("items[{i}].quantity"), line.stock.to_string()))
        .collect();
    if short.is_empty() {
        Ok(())
    } else {
        Err(Fault::new(OUT_OF_STOCK, "Some products are not in stock in this quantity.").details(short))
    }
}

fn sold(line: &Line) -> pricing::Line {
    pricing::Line {
        kind: pricing::Kind::Product,
        ref_id: line.product_id,
        title: line.name.clone(),
        sku: Some(line.sku.clone()),
        quantity: line.quantity,
        unit_price: line.price,
    }
}

/// The shop's side of a placed order: its row and lines, stock, customer, mail.
async fn finish(
    call: &Call,
    order: &Order,
    lines: &[Line],
    cart: Uuid,
    wanted: &Wanted,
    address: Value,
    method: &str,
) -> Result<Answer> {
    let ledger = &order.order;
    let values = Map::from_iter([
        ("orderId".to_owned(), json!(ledger.id)),
        ("userId".to_owned(), json!(ledger.user_id)),
        ("shippingMethod".to_owned(), json!(wanted.shipping_method)),
        ("shippingAddress".to_owned(), address),
        ("paymentMethod".to_owned(), json!(method)),
        ("customerNote".to_owned(), json!(wanted.note)),
    ]);
    let shop = create::write::<orders::Entity>(call, &values).await?;
    let linked: Vec<Value> = lines
        .iter()
        .zip(&order.items)
        .map(|(line, item)| {
            json!({"id": Uuid::now_v7(), "item": item.id, "product": line.product_id, "seller": line.seller_id, "quantity": line.quantity})
        })
        .collect();
    let sql = "WITH sold AS (SELECT * FROM jsonb_to_recordset($1) AS s(id uuid, item uuid, product uuid, seller uuid, quantity int)), \
               noted AS (INSERT INTO ecommerce_order_items (id, shop_order_id, order_item_id, product_id, seller_id) SELECT id, $2, item, product, seller FROM sold), \
               emptied AS (DELETE FROM ecommerce_cart_items WHERE cart_id = $3), \
               closed AS (UPDATE ecommerce_carts SET coupon_code = NULL, updated_at = $4 WHERE id = $3) \
               UPDATE ecommerce_products p SET stock = p.stock - s.quantity, sold_count = p.sold_count + s.quantity, updated_at = $4 \
               FROM sold s WHERE p.id = s.product";
    call.tx()
        .execute_raw(statement(
            sql,
            vec![
                Value::Array(linked).into(),
                shop.id.into(),
                cart.into(),
                call.now().into(),
            ],
        ))
        .await?;
    call.closing().watch("ecommerce_order_items");
    let movements: Vec<stock::Movement<'_>> = lines
        .iter()
        .map(|line| stock::Movement {
            product: line.product_id,
            reason: "sale",
            delta: -line.quantity,
            after: line.stock - line.quantity,
            order: Some(shop.id),
            note: None,
        })
        .collect();
    stock::note(call, &movements);
    if let Some(user) = ledger.user_id {
        let paid = if ledger.status == "paid" {
            ledger.total
        } else {
            Decimal::ZERO
        };
        customers::bought(call, user, paid);
        reviews::verify(call, ledger);
    }
    tell(call, order, &shop).await?;
    let levels: Vec<stock::Level<'_>> = lines.iter().map(level).collect();
    stock::warn(call, &levels).await?;

    let (id, title) = (shop.id, ledger.number.clone());
    let json = present::one::<orders::Entity>(call, shop).await?;
    let subject = Subject {
        id: Some(id),
        resource: Some(orders::Entity::SPEC.name),
        title,
        ..Subject::default()
    };
    Ok(Answer::data(json)
        .location(format!("/api/v1/ecommerce/orders/{id}"))
        .about(subject))
}

fn level(line: &Line) -> stock::Level<'_> {
    stock::Level {
        slug: &line.slug,
        name: &line.name,
        before: line.stock,
        after: line.stock - line.quantity,
        low_at: line.low_stock_at,
    }
}

/// The buyer's mail and the staff's notification.
async fn tell(call: &Call, order: &Order, shop: &orders::Model) -> Result<()> {
    let ledger = &order.order;
    let mut text = vec![format!("Thank you. We have your order {}.", ledger.number)];
    text.extend(order.items.iter().take(LISTED).map(|item| {
        format!(
            "{} × {}: {} {}",
            item.quantity,
            item.title,
            money(item.line_total),
            ledger.currency
        )
    }));
    if order.items.len() > LISTED {
        text.push(format!("And more: {} lines in all.", order.items.len()));
    }
    text.push(format!("Total: {} {}.", money(ledger.total), ledger.currency));
    if ledger.status == "pending" {
        text.push("You pay on delivery.".to_owned());
    }
    let mail = Mail {
        to: &ledger.email,
        name: Some(&ledger.customer_name),
        template: "ecommerce.order-confirmed",
        subject: format!("Order {} is confirmed", ledger.number),
        lines: text,
        action: Some(("See the order", format!("/shop/orders/{}", shop.id))),
    };
    mail::send(call, mail).await?;
    let body = format!(
        "{} ordered for {} {}.",
        ledger.customer_name,
        money(ledger.total),
        ledger.currency
    );
    let link = format!("/shop/orders/{}", shop.id);
    notify(
        call,
        To::Staff,
        "ecommerce.order-placed",
        &format!("New order {}", ledger.number),
        Some(&body),
        &link,
    );
    Ok(())
}
