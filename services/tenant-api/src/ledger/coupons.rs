//! What a coupon is worth for a purchase, and its limits: exact, also when several buy at once.

use fault::{Fault, codes};
use rust_decimal::Decimal;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect, prelude::DateTimeUtc,
};
use uuid::Uuid;

use super::Source;
use crate::{
    http::{Call, Result},
    modules::core::{
        coupon_redemptions,
        coupons::{Column, Entity, Model},
    },
    resource::value::{cents, uuids},
};

/// Why a coupon gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// No coupon has this code.
    Unknown,
    /// It is switched off.
    Inactive,
    /// Its time has not come.
    NotStarted,
    /// Its time is over.
    Expired,
    /// All its uses are taken.
    UsedUp,
    /// This buyer has taken all uses that one buyer may have.
    UserLimit,
    /// The purchase is too small.
    MinimumNotMet,
    /// It is for purchases of another module.
    WrongModule,
}

impl Issue {
    /// The word in `couponIssue` and in errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Inactive => "inactive",
            Self::NotStarted => "not_started",
            Self::Expired => "expired",
            Self::UsedUp => "used_up",
            Self::UserLimit => "user_limit",
            Self::MinimumNotMet => "minimum_not_met",
            Self::WrongModule => "wrong_module",
        }
    }

    /// 422 `COUPON_INVALID`.
    #[must_use]
    pub fn fault(self) -> Fault {
        let message = match self {
            Self::Unknown => "There is no coupon with this code.",
            Self::Inactive => "This coupon is switched off.",
            Self::NotStarted => "This coupon cannot be used yet.",
            Self::Expired => "This coupon is over.",
            Self::UsedUp => "This coupon has been used up.",
            Self::UserLimit => "You have used this coupon as often as one person may.",
            Self::MinimumNotMet => "The purchase is too small for this coupon.",
            Self::WrongModule => "This coupon is not for this kind of purchase.",
        };
        Fault::new(codes::COUPON_INVALID, message).detail("couponCode", self.as_str())
    }
}

/// A use of a coupon that nobody else can take until the transaction ends; [`place`](super::orders::place) redeems it.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) coupon: Uuid,
    /// As it is written on the order.
    pub code: String,
    /// What it takes off.
    pub discount: Decimal,
}

/// Codes are compared without regard to case and to blanks around them.
fn normal(code: &str) -> String {
    code.trim().to_uppercase()
}

/// What a coupon gives for a purchase. `used` counts the buyer's own uses.
fn judge(coupon: &Model, used: u64, source: Source, subtotal: Decimal, now: DateTimeUtc) -> Result<Decimal, Issue> {
    let reached = |limit: Option<i32>, used: u64| limit.is_some_and(|limit| used >= u64::try_from(limit).unwrap_or(0));
    if !coupon.is_active {
        Err(Issue::Inactive)
    } else if coupon.starts_at.is_some_and(|starts| now < starts) {
        Err(Issue::NotStarted)
    } else if coupon.ends_at.is_some_and(|ends| now >= ends) {
        Err(Issue::Expired)
    } else if reached(coupon.max_uses, u64::try_from(coupon.used_count).unwrap_or(0)) {
        Err(Issue::UsedUp)
    } else if reached(coupon.per_user_limit, used) {
        Err(Issue::UserLimit)
    } else if subtotal < coupon.min_subtotal {
        Err(Issue::MinimumNotMet)
    } else if coupon.scope != "all" && coupon.scope != source.as_str() {
        Err(Issue::WrongModule)
    } else {
        Ok(discount(coupon, subtotal))
    }
}

/// Percent of the subtotal, or a fixed amount; never more than the subtotal.
fn discount(coupon: &Model, subtotal: Decimal) -> Decimal {
    let wished = match coupon.kind.as_str() {
        "percent" => subtotal * coupon.value / Decimal::ONE_HUNDRED,
        _ => coupon.value,
    };
    cents(wished.min(subtotal))
}

#[derive(FromQueryResult)]
struct Used {
    used_by_buyer: i64,
}

/// Tells the discount, or why there is none, without using the coupon and without making others wait: for carts.
///
/// # Errors
/// When the database refuses.
pub async fn quote(
    call: &Call,
    code: &str,
    buyer: Option<Uuid>,
    source: Source,
    subtotal: Decimal,
) -> Result<Result<Decimal, Issue>> {
    let sql = "SELECT c.*, (SELECT count(*) FROM coupon_redemptions r WHERE r.coupon_id = c.id AND r.user_id = $2) \
               AS used_by_buyer FROM coupons c WHERE c.code = $1";
    let values = [normal(code).into(), buyer.into()];
    let found = call.row(sql, values).await?;
    let Some(row) = found else {
        return Ok(Err(Issue::Unknown));
    };
    let (coupon, used) = (Model::from_query_result(&row, "")?, Used::from_query_result(&row, "")?);
    let used = u64::try_from(used.used_by_buyer).unwrap_or(0);
    Ok(judge(&coupon, used, source, subtotal, call.now()))
}

/// Takes a use of a coupon for a purchase. The coupon is locked until the transaction ends, so lock the module's own
/// rows before. `None` for no code.
///
/// # Errors
/// 422 `COUPON_INVALID`.
pub async fn claim(
    call: &Call,
    code: Option<&str>,
    buyer: Uuid,
    source: Source,
    subtotal: Decimal,
) -> Result<Option<Claim>> {
    let Some(code) = code else {
        return Ok(None);
    };
    let coupon = Entity::find()
        .filter(Column::Code.eq(normal(code)))
        .lock_exclusive()
        .one(call.tx())
        .await?
        .ok_or_else(|| Issue::Unknown.fault())?;
    // Counted after the lock is held: a count in the same statement would not see what others did while it waited.
    let used = match coupon.per_user_limit {
        Some(_) => {
            coupon_redemptions::Entity::find()
                .filter(coupon_redemptions::Column::CouponId.eq(coupon.id))
                .filter(coupon_redemptions::Column::UserId.eq(buyer))
                .count(call.tx())
                .await?
        }
        None => 0,
    };
    let discount = judge(&coupon, used, source, subtotal, call.now()).map_err(Issue::fault)?;
    Ok(Some(Claim {
        coupon: coupon.id,
        code: coupon.code,
        discount,
    }))
}

/// Writes the use of a claimed coupon, at the end of the request.
pub(super) fn redeem(call: &Call, claim: &Claim, order: Uuid, buyer: Uuid) {
    let used = "UPDATE coupons SET used_count = used_count + 1 WHERE id = $1";
    call.closing().write(used, [claim.coupon.into()]);
    let sql = "INSERT INTO coupon_redemptions (id, coupon_id, order_id, user_id, amount) VALUES ($1, $2, $3, $4, $5)";
    let values = [
        Uuid::now_v7().into(),
        claim.coupon.into(),
        order.into(),
        buyer.into(),
        claim.discount.into(),
    ];
    call.closing().insert("coupon_redemptions", sql, values);
}

/// Gives back the uses of orders that were cancelled or fully refunded, at the end of the request; orders without a
/// coupon change nothing. The orders must be locked.
pub(super) fn give_back(call: &Call, orders: &[Uuid]) {
    let uses = "UPDATE coupons SET used_count = GREATEST(used_count - uses, 0) FROM \
                (SELECT coupon_id, count(*) AS uses FROM coupon_redemptions WHERE order_id = ANY ($1) \
                 GROUP BY coupon_id) AS gone WHERE id = coupon_id";
    call.closing().write(uses, [uuids(orders)]);
    let gone = "DELETE FROM coupon_redemptions WHERE order_id = ANY ($1)";
    call.closing().write(gone, [uuids(orders)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    fn at(text: &str) -> DateTimeUtc {
        text.parse().expect("an instant")
    }

    fn coupon() -> Model {
        Model {
            id: Uuid::nil(),
            code: "TEST".into(),
            description: None,
            kind: "percent".into(),
            value: d("10.00"),
            scope: "all".into(),
            min_subtotal: d("0"),
            max_uses: None,
            per_user_limit: None,
            used_count: 0,
            starts_at: None,
            ends_at: None,
            is_active: true,
            version: 1,
            created_at: at("2026-01-01T00:00:00Z"),
            updated_at: at("2026-01-01T00:00:00Z"),
        }
    }

    fn worth(coupon: &Model, subtotal: Decimal) -> Result<Decimal, Issue> {
        judge(coupon, 1, Source::Lms, subtotal, at("2026-02-01T00:00:00Z"))
    }

    #[test]
    fn a_percentage_is_rounded_and_an_amount_is_capped() {
        assert_eq!(worth(&coupon(), d("0.25")), Ok(d("0.03")));
        let fixed = Model {
            kind: "fixed".into(),
            value: d("5.00"),
            ..coupon()
        };
        assert_eq!(worth(&fixed, d("4.50")), Ok(d("4.50")));
        assert_eq!(worth(&fixed, d("50")), Ok(d("5.00")));
    }

    #[test]
    fn every_issue_is_told() {
        let cases = [
            (
                Model {
                    is_active: false,
                    ..coupon()
                },
                Issue::Inactive,
            ),
            (
                Model {
                    starts_at: Some(at("2026-02-01T00:00:01Z")),
                    ..coupon()
                },
                Issue::NotStarted,
            ),
            (
                Model {
                    ends_at: Some(at("2026-02-01T00:00:00Z")),
                    ..coupon()
                },
                Issue::Expired,
            ),
            (
                Model {
                    max_uses: Some(3),
                    used_count: 3,
                    ..coupon()
                },
                Issue::UsedUp,
            ),
            (
                Model {
                    per_user_limit: Some(1),
                    ..coupon()
                },
                Issue::UserLimit,
            ),
            (
                Model {
                    min_subtotal: d("10.01"),
                    ..coupon()
                },
                Issue::MinimumNotMet,
            ),
            (
                Model {
                    scope: "ecommerce".into(),
                    ..coupon()
                },
                Issue::WrongModule,
            ),
        ];
        for (coupon, issue) in cases {
            assert_eq!(worth(&coupon, d("10.00")), Err(issue));
        }
        let fits = Model {
            starts_at: Some(at("2026-02-01T00:00:00Z")),
            max_uses: Some(4),
            used_count: 3,
            per_user_limit: Some(2),
            min_subtotal: d("10.00"),
            scope: "lms".into(),
            ..coupon()
        };
        assert_eq!(worth(&fits, d("10.00")), Ok(d("1.00")));
    }
}
