//! The two cookies of a sign-in (contract README section 8).

use axum::http::{HeaderValue, header};
use chrono::TimeDelta;

use super::caller::{ACCESS_COOKIE, REFRESH_COOKIE};
use crate::http::{Answer, Call};

const ACCESS_PATH: &str = "/api/v1";
const REFRESH_PATH: &str = "/api/v1/auth";

/// Sets both; `life` is that of the access token, the refresh token's is the session's.
#[must_use]
pub fn set(answer: Answer, call: &Call, access: &str, life: TimeDelta, refresh: &str) -> Answer {
    let until_end = call.tenant().expires_at - call.now();
    let answer = add(answer, call, ACCESS_COOKIE, access, ACCESS_PATH, life);
    add(answer, call, REFRESH_COOKIE, refresh, REFRESH_PATH, until_end)
}

/// Clears both.
#[must_use]
pub fn clear(answer: Answer, call: &Call) -> Answer {
    let answer = add(answer, call, ACCESS_COOKIE, "", ACCESS_PATH, TimeDelta::zero());
    add(answer, call, REFRESH_COOKIE, "", REFRESH_PATH, TimeDelta::zero())
}

fn add(answer: Answer, call: &Call, name: &str, value: &str, path: &str, life: TimeDelta) -> Answer {
    let cookie = cookie(name, value, path, life, call.is_secure());
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => answer.header(header::SET_COOKIE, cookie),
        // Never: tokens are plain ASCII.
        Err(_) => answer,
    }
}

/// The preview runs in a frame of another site: there a browser takes cookies over HTTPS only, and keeps them apart for
/// each embedding site.
fn cookie(name: &str, value: &str, path: &str, life: TimeDelta, is_secure: bool) -> String {
    let site = if is_secure {
        "SameSite=None; Secure; Partitioned"
    } else {
        "SameSite=Lax"
    };
    let seconds = life.num_seconds().max(0);
    format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; {site}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_lax_over_http_and_partitioned_over_https() {
        let of = |is_secure| cookie("accessToken", "x", "/api/v1", TimeDelta::minutes(15), is_secure);
        assert_eq!(
            of(false),
            "accessToken=x; Path=/api/v1; Max-Age=900; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            of(true),
            "accessToken=x; Path=/api/v1; Max-Age=900; HttpOnly; SameSite=None; Secure; Partitioned"
        );
    }
}
