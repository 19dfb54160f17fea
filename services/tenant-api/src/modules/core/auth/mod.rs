//! Sign-in: accounts made and entered by visitors themselves.

pub mod account;
pub mod password;
pub mod reset;
pub mod sign_in;

use account::ACCOUNT;
use fault::codes;
use sign_in::AUTH_RESULT;

use crate::{
    http::{Route, Who},
    resource::Field,
};

const REFRESH_TOKEN: &[Field] = &[Field::text("refreshToken", "200")];
const CHANGED: &[Field] = &[Field::bool("changed").required()];

/// Its routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/auth/register", "register", sign_in::register)
            .body(
                const {
                    &[
                        Field::email("email").required(),
                        Field::password("password").required(),
                        Field::text("name", "80").required(),
                    ]
                },
            )
            .created()
            .returns(&AUTH_RESULT)
            .errors(&[codes::CONFLICT, codes::REGISTRATION_CLOSED])
            .audited()
            .ignores_bearer(),
        Route::post("/auth/login", "login", sign_in::login)
            .body(
                const {
                    &[
                        Field::email("email").required(),
                        Field::text("password", "72").required().verbatim(),
                    ]
                },
            )
            .returns(&AUTH_RESULT)
            .errors(&[codes::INVALID_CREDENTIALS, codes::ACCOUNT_DISABLED])
            .audited()
            .ignores_bearer(),
        Route::post("/auth/refresh", "refresh", sign_in::refresh)
            .body(REFRESH_TOKEN)
            .returns(&AUTH_RESULT)
            .errors(&[codes::UNAUTHORIZED, codes::ACCOUNT_DISABLED])
            .ignores_bearer(),
        Route::post("/auth/logout", "logout", sign_in::logout)
            .body(REFRESH_TOKEN)
            .returns_fields(const { &[Field::bool("signedOut").required()] })
            .ignores_bearer(),
        Route::get("/auth/me", "me", account::me)
            .who(&[Who::User])
            .returns(&ACCOUNT),
        Route::patch("/auth/me", "update-me", account::update)
            .who(&[Who::User])
            .changes(
                const {
                    &[
                        Field::text("name", "80").filled(),
                        Field::text("phone", "32"),
                        Field::reference("avatarId", "uploads"),
                    ]
                },
            )
            .versioned()
            .returns(&ACCOUNT),
        Route::post("/auth/password", "change-password", password::change)
            .who(&[Who::User])
            .body(
                const {
                    &[
                        Field::text("currentPassword", "72").required().verbatim(),
                        Field::password("newPassword").required(),
                    ]
                },
            )
            .returns_fields(CHANGED)
            .audited(),
        Route::post("/auth/forgot-password", "forgot-password", reset::forgot)
            .body(const { &[Field::email("email").required()] })
            .returns_fields(const { &[Field::bool("accepted").required()] })
            .ignores_bearer(),
        Route::post("/auth/reset-password", "reset-password", reset::reset)
            .body(
                const {
                    &[
                        Field::text("token", "200").required(),
                        Field::password("newPassword").required(),
                    ]
                },
            )
            .returns_fields(CHANGED)
            .errors(&[codes::TOKEN_INVALID])
            .audited()
            .ignores_bearer(),
    ]
}
