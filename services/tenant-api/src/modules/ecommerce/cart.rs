//! The cart of a visitor or of a user: priced anew each time it is looked at, nothing is reserved.

use axum::http::HeaderName;
use fault::{Fault, codes};
use sea_orm::{
    ConnectionTrait, FromQueryResult,
    prelude::{Decimal, Uuid},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    product_images::COVER,
    products::{OUT_OF_STOCK, out_of_stock},
    rows, statement,
};
use crate::{
    auth::opaque,
    closing::room,
    http::{Answer, Call, Result, Route, Who},
    ledger::{
        Source,
        coupons::{self, Issue},
        pricing::Totals,
    },
    resource::{Field, Kind, Shape, value},
    sandbox::address,
    settings::Settings,
};

/// The header with the token of a visitor's cart.
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
/// The most of one product in a cart.
const MOST: i32 = 99;
/// Whoever holds the cart: anybody may ask, the handler looks.
const HOLDER: &[Who] = &[Who::Public, Who::Module("cart")];

/// The routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const ADD: &[Field] = &[
        Field::reference("productId", "ecommerce_products").required(),
        Field::int("quantity").default("1").min("1").max("99"),
    ];
    const CHANGE: &[Field] = &[Field::int("quantity").required().min("1").max("99")];
    const COUPON: &[Field] = &[Field::text("code", "30").required().upper()];
    const MERGE: &[Field] = &[Field::text("cartToken", "64").required()];
    const TOKEN: &[&str] = &["X-Cart-Token"];
    vec![
        Route::get("/cart", "read", read).headers(TOKEN).returns(&CART),
        Route::post("/cart/items", "add-item", add)
            .headers(TOKEN)
            .body(ADD)
            .created()
            .returns(&CART)
            .errors(&[OUT_OF_STOCK]),
        Route::patch("/cart/items/{id}", "change-item", change)
            .who(HOLDER)
            .headers(TOKEN)
            .body(CHANGE)
            .returns(&CART)
            .errors(&[OUT_OF_STOCK]),
        Route::delete("/cart/items/{id}", "remove-item", remove)
            .who(HOLDER)
            .headers(TOKEN)
            .returns(&CART),
        Route::delete("/cart", "empty", empty).headers(TOKEN).returns(&CART),
        Route::put("/cart/coupon", "set-coupon", set_coupon)
            .who(HOLDER)
            .headers(TOKEN)
            .body(COUPON)
            .returns(&CART)
            .errors(&[codes::COUPON_INVALID]),
        Route::delete("/cart/coupon", "remove-coupon", remove_coupon)
            .who(HOLDER)
            .headers(TOKEN)
            .returns(&CART),
        Route::post("/cart/merge", "merge", merge)
            .who(&[Who::User])
            .body(MERGE)
            .returns(&CART),
    ]
}

/// A cart in JSON.
pub(super) const CART: Shape = Shape::of(
    "Cart",
    &[
        Field::text("cartToken", "64"),
        Field::array("items", &Kind::Object(&LINE)).required(),
        Field::int("itemCount").required(),
        Field::text("couponCode", "30"),
        Field::text("couponIssue", "40"),
        Field::currency("currency").required(),
        Field::money("subtotal").required(),
        Field::money("discount").required(),
        Field::money("shipping").required(),
        Field::money("tax").required(),
        Field::money("total").required(),
    ],
);

const LINE: Shape = Shape::of(
    "CartLine",
    &[
        Field::uuid("id").required(),
        Field::uuid("productId").required(),
        Field::text("name", "160").required(),
        Field::slug("slug").required(),
        Field::text("imageUrl", "300"),
        Field::money("unitPrice").required(),
        Field::int("quantity").required(),
        Field::money("lineTotal").required(),
        Field::int("available").required(),
        Field::one_of("issue", &["OUT_OF_STOCK", "PRODUCT_UNAVAILABLE"]),
    ],
);

/// Whose cart a request is about.
enum Holder {
    /// A user's.
    User(Uuid),
    /// The bearer's of a token.
    Token(String),
    /// Nobody's yet.
    Nobody,
}

impl Holder {
    /// The signed-in user's, else the token's.
    fn of(call: &Call) -> Self {
        match (call.caller(), call.header(&CART_TOKEN)) {
            (Some(caller), _) => Self::User(caller.id),
            (None, Some(token)) if (1..=64).contains(&token.len()) => Self::Token(token.to_owned()),
            (None, _) => Self::Nobody,
        }
    }

    /// What the cart's row is found by: the user and the token's hash, of which one is null.
    fn key(&self) -> (Option<Uuid>, Option<String>) {
        match self {
            Self::User(user) => (Some(*user), None),
            Self::Token(token) => (None, Some(opaque::hash(token))),
            Self::Nobody => (None, None),
        }
    }

    fn token(self) -> Option<String> {
        match self {
            Self::Token(token) => Some(token),
            Self::User(_) | Self::Nobody => None,
        }
    }
}

/// A cart's row.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Cart {
    pub id: Uuid,
    pub coupon_code: Option<String>,
}

/// A line with its product as it is now.
#[derive(Clone, Debug, FromQueryResult)]
struct Line {
    id: Uuid,
    product_id: Uuid,
    name: String,
    slug: String,
    price: Decimal,
    stock: i32,
    status: String,
    quantity: i32,
    content_key: Option<String>,
}

impl Line {
    fn total(&self) -> Decimal {
        self.price * Decimal::from(self.quantity)
    }

    fn issue(&self) -> Option<&'static str> {
        if self.status != "active" {
            Some("PRODUCT_UNAVAILABLE")
        } else if self.quantity > self.stock {
            Some("OUT_OF_STOCK")
        } else {
            None
        }
    }
}

async fn find(call: &Call, holder: &Holder) -> Result<Option<Cart>> {
    let (user, hash) = holder.key();
    let sql = "SELECT id, coupon_code FROM ecommerce_carts WHERE user_id = $1 OR token_hash = $2";
    let found = rows(call, sql, vec![user.into(), hash.into()]).await?;
    Ok(found.first().map(|row| Cart::from_query_result(row, "")).transpose()?)
}

/// The holder's cart, for routes that need one.
async fn held(call: &Call) -> Result<(Holder, Cart)> {
    let holder = Holder::of(call);
    let cart = find(call, &holder).await?.ok_or_else(Fault::not_found)?;
    Ok((holder, cart))
}

/// The same where an empty cart will do: a signed-in user always has one.
async fn held_or_empty(call: &Call) -> Result<(Holder, Option<Cart>)> {
    let holder = Holder::of(call);
    let cart = find(call, &holder).await?;
    match (&cart, &holder) {
        (None, Holder::Token(_) | Holder::Nobody) => Err(Fault::not_found().into()),
        (Some(_), _) | (None, Holder::User(_)) => Ok((holder, cart)),
    }
}

/// The lines of a cart, as they are now.
async fn lines(call: &Call, cart: &Cart) -> Result<Vec<Line>> {
    let sql = format!(
        "SELECT i.id, i.product_id, i.quantity, p.name, p.slug, p.price, p.stock, p.status, {COVER} AS content_key \
         FROM ecommerce_cart_items i JOIN ecommerce_products p ON p.id = i.product_id WHERE i.cart_id = $1 ORDER BY i.created_at, i.id"
    );
    let found = rows(call, &sql, vec![cart.id.into()]).await?;
    Ok(found
        .iter()
        .map(|row| Line::from_query_result(row, ""))
        .collect::<Result<_, _>>()?)
}

fn subtotal(lines: &[Line]) -> Decimal {
    lines.iter().map(Line::total).sum()
}

/// What a coupon gives for lines, or why it gives nothing.
async fn quote(call: &Call, code: &str, lines: &[Line]) -> Result<Result<Decimal, Issue>> {
    coupons::quote(call, code, buyer(call), Source::Ecommerce, subtotal(lines)).await
}

/// The cart as it is shown: lines at today's prices, coupon, shipping, tax.
async fn show(call: &Call, cart: Option<&Cart>, token: Option<String>) -> Result<Answer> {
    let lines = match cart {
        Some(cart) => lines(call, cart).await?,
        None => Vec::new(),
    };
    let coupon = match cart.and_then(|cart| cart.coupon_code.as_deref()) {
        Some(code) => Some((code, quote(call, code, &lines).await?)),
        None => None,
    };
    priced(call, &lines, coupon, token).await
}

async fn priced(
    call: &Call,
    lines: &[Line],
    coupon: Option<(&str, Result<Decimal, Issue>)>,
    token: Option<String>,
) -> Result<Answer> {
    let settings = Settings::load(call).await?;
    let subtotal = subtotal(lines);
    let (code, quoted) = coupon.unzip();
    let (discount, issue) = match quoted {
        Some(Ok(discount)) => (discount, None),
        Some(Err(issue)) => (Decimal::ZERO, Some(issue.as_str())),
        None => (Decimal::ZERO, None),
    };
    let shipping = if lines.is_empty() {
        Decimal::ZERO
    } else {
        shipping(&settings, "standard", subtotal - discount)
    };
    let rate = settings.decimal("orders.taxRate").unwrap_or_default();
    let totals = Totals::of(subtotal, discount, shipping, rate);
    let items: Vec<Value> = lines.iter().map(|line| line_json(call, line)).collect();
    Ok(Answer::data(json!({
        "cartToken": token,
        "items": items,
        "itemCount": lines.iter().map(|line| line.quantity).sum::<i32>(),
        "couponCode": code,
        "couponIssue": issue,
        "currency": call.tenant().currency,
        "subtotal": value::money(totals.subtotal),
        "discount": value::money(totals.discount),
        "shipping": value::money(totals.shipping),
        "tax": value::money(totals.tax),
        "total": value::money(totals.total),
    })))
}

fn line_json(call: &Call, line: &Line) -> Value {
    json!({
        "id": line.id,
        "productId": line.product_id,
        "name": line.name,
        "slug": line.slug,
        "imageUrl": line.content_key.as_deref().map(|key| address::of(call, key)),
        "unitPrice": value::money(line.price),
        "quantity": line.quantity,
        "lineTotal": value::money(line.total()),
        "available": line.stock,
        "issue": line.issue(),
    })
}

/// What shipping costs for goods of a value: standard shipping is free from the setting on.
pub(super) fn shipping(settings: &Settings, method: &str, goods: Decimal) -> Decimal {
    if method == "express" {
        return settings.decimal("ecommerce.shippingExpress").unwrap_or_default();
    }
    match settings.decimal("ecommerce.freeShippingFrom") {
        Some(free) if goods >= free => Decimal::ZERO,
        _ => settings.decimal("ecommerce.shippingStandard").unwrap_or_default(),
    }
}

fn buyer(call: &Call) -> Option<Uuid> {
    call.caller().map(|caller| caller.id)
}

async fn read(call: Call) -> Result<Answer> {
    let holder = Holder::of(&call);
    let cart = find(&call, &holder).await?;
    let token = holder.token().filter(|_| cart.is_some());
    show(&call, cart.as_ref(), token).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    product_id: Uuid,
    quantity: i32,
}

async fn add(call: Call) -> Result<Answer> {
    let Add { product_id, quantity } = call.read()?;
    let holder = Holder::of(&call);
    let (user, hash) = holder.key();
    let sql = "SELECT p.name, p.stock, c.id, c.coupon_code, (SELECT count(*) FROM ecommerce_carts) AS carts, \
               (SELECT count(*) FROM ecommerce_cart_items) AS items, \
               EXISTS (SELECT FROM ecommerce_cart_items i WHERE i.cart_id = c.id AND i.product_id = p.id) AS held FROM ecommerce_products p \
               LEFT JOIN ecommerce_carts c ON c.user_id = $2 OR c.token_hash = $3 WHERE p.id = $1 AND p.status = 'active'";
    let found = rows(&call, sql, vec![product_id.into(), user.into(), hash.into()]).await?;
    let row = found
        .first()
        .ok_or_else(|| Fault::field("productId", "names no product that is for sale"))?;
    let (name, stock): (String, i32) = (row.try_get("", "name")?, row.try_get("", "stock")?);
    let count = |column| row.try_get::<i64>("", column).map(|n| u64::try_from(n).unwrap_or(0));
    let known: Option<Uuid> = row.try_get("", "id")?;
    let (cart, token) = match known {
        Some(id) => (
            Cart {
                id,
                coupon_code: row.try_get("", "coupon_code")?,
            },
            holder.token(),
        ),
        None => open(&call, user, None).await?,
    };

    let sql = "INSERT INTO ecommerce_cart_items (id, cart_id, product_id, quantity) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = ecommerce_cart_items.quantity + excluded.quantity, updated_at = now() \
               WHERE ecommerce_cart_items.quantity + excluded.quantity <= $5 RETURNING quantity";
    let values = vec![
        Uuid::now_v7().into(),
        cart.id.into(),
        product_id.into(),
        quantity.into(),
        MOST.into(),
    ];
    let found = rows(&call, sql, values).await?;
    let now: i32 = found
        .first()
        .map(|row| row.try_get("", "quantity"))
        .transpose()?
        .ok_or_else(too_many)?;
    if now > stock {
        return Err(out_of_stock("quantity", &name, stock).into());
    }
    if known.is_none() {
        room(&call, "ecommerce_carts", count("carts")?)?;
    }
    if !row.try_get::<bool>("", "held")? {
        room(&call, "ecommerce_cart_items", count("items")?)?;
    }
    let answer = show(&call, Some(&cart), token).await?;
    Ok(answer.location("/api/v1/ecommerce/cart".to_owned()))
}

fn too_many() -> Fault {
    Fault::field(
        "quantity",
        format!("the cart would hold more than {MOST} of this product"),
    )
}

/// Makes a cart: the user's, or one with a new token. A coupon is taken over when there is none.
async fn open(call: &Call, user: Option<Uuid>, coupon: Option<String>) -> Result<(Cart, Option<String>)> {
    let token = if user.is_none() {
        Some(opaque::generate()?)
    } else {
        None
    };
    // The same user's other tab may have made it a moment ago.
    let sql = "INSERT INTO ecommerce_carts (id, user_id, token_hash, coupon_code) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (user_id) DO UPDATE SET updated_at = now(), \
               coupon_code = coalesce(ecommerce_carts.coupon_code, excluded.coupon_code) RETURNING id, coupon_code";
    let values = vec![
        Uuid::now_v7().into(),
        user.into(),
        token.as_deref().map(opaque::hash).into(),
        coupon.into(),
    ];
    let found = rows(call, sql, values).await?;
    let cart = found.first().map(|row| Cart::from_query_result(row, "")).transpose()?;
    Ok((cart.ok_or_else(|| Fault::internal("a cart was not made"))?, token))
}

async fn change(call: Call) -> Result<Answer> {
    let (holder, cart) = held(&call).await?;
    let quantity = call
        .body()
        .get("quantity")
        .and_then(Value::as_i64)
        .and_then(|n| i32::try_from(n).ok())
        .unwrap_or(1);
    let sql = "UPDATE ecommerce_cart_items i SET quantity = $3, updated_at = now() FROM ecommerce_products p \
               WHERE i.id = $1 AND i.cart_id = $2 AND p.id = i.product_id RETURNING p.name, p.stock";
    let found = rows(&call, sql, vec![call.id("id")?.into(), cart.id.into(), quantity.into()]).await?;
    let row = found.first().ok_or_else(Fault::not_found)?;
    let (name, stock): (String, i32) = (row.try_get("", "name")?, row.try_get("", "stock")?);
    if quantity > stock {
        return Err(out_of_stock("quantity", &name, stock).into());
    }
    show(&call, Some(&cart), holder.token()).await
}

async fn remove(call: Call) -> Result<Answer> {
    let (holder, cart) = held(&call).await?;
    let sql = "DELETE FROM ecommerce_cart_items WHERE id = $1 AND cart_id = $2 RETURNING id";
    if rows(&call, sql, vec![call.id("id")?.into(), cart.id.into()])
        .await?
        .is_empty()
    {
        return Err(Fault::not_found().into());
    }
    show(&call, Some(&cart), holder.token()).await
}

async fn empty(call: Call) -> Result<Answer> {
    let holder = Holder::of(&call);
    let mut cart = find(&call, &holder).await?;
    if let Some(cart) = &mut cart {
        call.tx()
            .execute_raw(statement(
                "DELETE FROM ecommerce_cart_items WHERE cart_id = $1",
                vec![cart.id.into()],
            ))
            .await?;
        coupon(&call, cart.id, None).await?;
        cart.coupon_code = None;
    }
    let token = holder.token().filter(|_| cart.is_some());
    show(&call, cart.as_ref(), token).await
}

async fn coupon(call: &Call, cart: Uuid, code: Option<&str>) -> Result<()> {
    let sql = "UPDATE ecommerce_carts SET coupon_code = $2, updated_at = now() WHERE id = $1";
    call.tx()
        .execute_raw(statement(sql, vec![cart.into(), code.into()]))
        .await?;
    Ok(())
}

async fn set_coupon(call: Call) -> Result<Answer> {
    let (holder, cart) = held_or_empty(&call).await?;
    let code = call
        .body()
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let lines = match &cart {
        Some(cart) => lines(&call, cart).await?,
        None => Vec::new(),
    };
    let discount = quote(&call, &code, &lines).await?.map_err(Issue::fault)?;
    let id = match &cart {
        Some(cart) => cart.id,
        None => {
            call.closing().watch("ecommerce_carts");
            open(&call, buyer(&call), None).await?.0.id
        }
    };
    coupon(&call, id, Some(&code)).await?;
    priced(&call, &lines, Some((&code, Ok(discount))), holder.token()).await
}

async fn remove_coupon(call: Call) -> Result<Answer> {
    let (holder, mut cart) = held_or_empty(&call).await?;
    if let Some(cart) = &mut cart {
        coupon(&call, cart.id, None).await?;
        cart.coupon_code = None;
    }
    show(&call, cart.as_ref(), holder.token()).await
}

/// Adds the lines of a visitor's cart to the caller's; the other cart goes.
async fn merge(call: Call) -> Result<Answer> {
    let user = call.user()?.id;
    let hash = opaque::hash(call.body().get("cartToken").and_then(Value::as_str).unwrap_or_default());
    // Deleting first makes a second merge of the same token find nothing.
    let sql = "WITH c AS (DELETE FROM ecommerce_carts WHERE token_hash = $1 RETURNING id, coupon_code) \
               DELETE FROM ecommerce_cart_items i USING c WHERE i.cart_id = c.id \
               RETURNING i.product_id, i.quantity, c.coupon_code";
    let taken = rows(&call, sql, vec![hash.into()]).await?;
    let Some(first) = taken.first() else {
        let cart = find(&call, &Holder::User(user)).await?;
        return show(&call, cart.as_ref(), None).await;
    };
    let (cart, _) = open(&call, Some(user), first.try_get("", "coupon_code")?).await?;
    let (mut products, mut quantities) = (Vec::new(), Vec::new());
    for row in &taken {
        products.push(row.try_get::<Uuid>("", "product_id")?);
        quantities.push(row.try_get::<i32>("", "quantity")?.to_string());
    }
    let ids = (0..products.len()).map(|_| Uuid::now_v7()).collect::<Vec<_>>();
    let sql = "INSERT INTO ecommerce_cart_items (id, cart_id, product_id, quantity) \
               SELECT n.id, $1, p.id, LEAST(n.quantity::int, p.stock, $5) FROM unnest($2, $3, string_to_array($4, ',')) AS n (id, product_id, quantity) \
               JOIN ecommerce_products p ON p.id = n.product_id AND p.stock > 0 \
               ON CONFLICT (cart_id, product_id) DO UPDATE SET updated_at = now(), quantity = LEAST(ecommerce_cart_items.quantity + excluded.quantity, $5, \
               GREATEST((SELECT stock FROM ecommerce_products WHERE id = excluded.product_id), 1))";
    let values = vec![
        cart.id.into(),
        super::uuids(&ids),
        super::uuids(&products),
        quantities.join(",").into(),
        MOST.into(),
    ];
    call.tx().execute_raw(statement(sql, values)).await?;
    show(&call, Some(&cart), None).await
}

/// The caller's cart, locked: of two checkouts at once the second waits here and finds it empty.
pub(super) async fn lock(call: &Call, user: Uuid) -> Result<Option<Cart>> {
    let found = rows(
        call,
        "SELECT id, coupon_code FROM ecommerce_carts WHERE user_id = $1 FOR UPDATE",
        vec![user.into()],
    )
    .await?;
    Ok(found.first().map(|row| Cart::from_query_result(row, "")).transpose()?)
}
