//! The envelope: how answers and faults look in HTTP (contract README section 4).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use crate::{Detail, Fault};

/// What is sent when even the envelope cannot be written.
pub const ENVELOPE_FAILURE: &str =
    r#"{"success":false,"error":{"code":"INTERNAL","message":"Something went wrong on our side."}}"#;

/// A successful answer: `{"success":true,"data":…}`.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    success: bool,
    data: T,
}

impl<T> Envelope<T> {
    /// Wraps `data`.
    pub const fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

impl<T: Serialize> IntoResponse for Envelope<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Which page of a list this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// From 1.
    pub page: u64,
    /// Rows a page.
    pub limit: u64,
    /// Rows in all.
    pub total: u64,
    /// 0 when there are none.
    pub total_pages: u64,
}

impl Pagination {
    /// The page `page` of `limit` rows out of `total`.
    #[must_use]
    pub const fn new(page: u64, limit: u64, total: u64) -> Self {
        Self {
            page,
            limit,
            total,
            total_pages: total.div_ceil(if limit == 0 { 1 } else { limit }),
        }
    }
}

/// One page of a list: the envelope with `pagination`.
#[derive(Debug, Serialize)]
pub struct Paged<T> {
    success: bool,
    data: Vec<T>,
    pagination: Pagination,
}

impl<T> Paged<T> {
    /// Wraps one page.
    pub const fn new(data: Vec<T>, pagination: Pagination) -> Self {
        Self {
            success: true,
            data,
            pagination,
        }
    }
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// The body of a fault.
#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a [Detail]>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        self.log();
        let inner = &self.inner;
        let details = (inner.always_details || !inner.details.is_empty()).then_some(inner.details.as_slice());
        let body = Body {
            code: inner.code.name,
            message: &inner.message,
            details,
        };
        let status: StatusCode = inner.code.kind.http();
        let mut response = (status, Json(json!({ "success": false, "error": body }))).into_response();
        if let Some(seconds) = inner.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = inner
            .allow
            .as_deref()
            .and_then(|methods| HeaderValue::from_str(methods).ok())
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    async fn text(fault: Fault) -> (StatusCode, String) {
        let response = fault.into_response();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap_or_default();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_server_fault_shows_no_cause() {
        let (status, body) = text(Fault::internal("relation \"users\" does not exist")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            body.contains("INTERNAL") && !body.contains("users") && !body.contains("details"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn invalid_always_has_details_and_a_refusal_only_with_facts() {
        let (_, body) = text(Fault::field("name", "is required")).await;
        assert_eq!(
            body,
            r#"{"success":false,"error":{"code":"VALIDATION_ERROR","message":"name: is required","details":[{"field":"name","message":"is required"}]}}"#
        );
        assert!(
            text(Fault::new(codes::COUPON_INVALID, "no"))
                .await
                .1
                .contains(r#""details":[]"#)
        );
        assert!(!text(Fault::not_found()).await.1.contains("details"));
    }

    #[test]
    fn a_wait_and_the_allowed_methods_become_headers() {
        let response = Fault::new(codes::RATE_LIMITED, "slow down")
            .retry_after(7)
            .into_response();
        assert_eq!(
            response.headers().get(header::RETRY_AFTER),
            Some(&HeaderValue::from_static("7"))
        );
        let response = Fault::new(codes::METHOD_NOT_ALLOWED, "no")
            .allow("GET, POST")
            .into_response();
        assert_eq!(
            response.headers().get(header::ALLOW),
            Some(&HeaderValue::from_static("GET, POST"))
        );
    }

    #[test]
    fn an_empty_list_has_no_pages() {
        assert_eq!(Pagination::new(1, 20, 0).total_pages, 0);
        assert_eq!(Pagination::new(1, 20, 57).total_pages, 3);
    }
}
