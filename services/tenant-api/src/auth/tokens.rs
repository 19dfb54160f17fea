//! Access tokens: JWT, HS256, 15 minutes, for one session and one sign-in.

use chrono::{DateTime, TimeDelta, Utc};
use domain::SessionId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use service::config::Secret;
use uuid::Uuid;

use super::{Role, hs256};

/// Life of an access token.
pub const LIFE: TimeDelta = TimeDelta::minutes(15);

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// The session's id, never its token.
    pub aud: SessionId,
    /// The role at sign-in; the database's is what counts.
    pub role: Role,
    /// The sign-in.
    pub sid: Uuid,
    /// When it was made, seconds since 1970.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
}

/// Makes and reads access tokens.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
}

impl Tokens {
    /// Keys from the secret.
    ///
    /// # Errors
    /// When the secret is empty.
    pub fn new(secret: &Secret) -> anyhow::Result<Self> {
        hs256::install();
        let secret = secret.reveal().as_bytes();
        anyhow::ensure!(!secret.is_empty(), "JWT_SECRET is empty");
        Ok(Self {
            sign: EncodingKey::from_secret(secret),
            verify: DecodingKey::from_secret(secret),
        })
    }

    /// A token for a sign-in, and when it ends.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn issue(
        &self,
        session: SessionId,
        user: Uuid,
        role: Role,
        sign_in: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(String, DateTime<Utc>), jsonwebtoken::errors::Error> {
        let end = now + LIFE;
        let claims = Claims {
            sub: user,
            aud: session,
            role,
            sid: sign_in,
            iat: now.timestamp(),
            exp: end.timestamp(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign).map(|token| (token, end))
    }

    /// What a token says, when it is ours, for this session and not over at `now`.
    #[must_use]
    pub fn read(&self, token: &str, session: SessionId, now: DateTime<Utc>) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[session.to_string()]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // Against our own clock, below.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &self.verify, &validation).ok()?.claims;
        (claims.exp > now.timestamp() && claims.aud == session).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Secret::new(secret)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn issue(tokens: &Tokens, session: SessionId) -> String {
        tokens
            .issue(session, Uuid::nil(), Role::User, Uuid::nil(), NOW)
            .unwrap_or_else(|error| panic!("{error}"))
            .0
    }

    #[test]
    fn a_token_holds_for_its_session_its_key_and_its_time() {
        let (ours, theirs) = (
            tokens("a-secret-of-at-least-32-bytes-ours"),
            tokens("a-secret-of-at-least-32-bytes-them"),
        );
        let (session, other) = (SessionId::new(NOW), SessionId::new(NOW + TimeDelta::seconds(1)));
        let token = issue(&ours, session);
        assert!(ours.read(&token, session, NOW).is_some());
        assert!(ours.read(&token, other, NOW).is_none(), "another session");
        assert!(theirs.read(&token, session, NOW).is_none(), "another key");
        assert!(ours.read(&token, session, NOW + LIFE).is_none(), "over");
        assert!(ours.read(&token, session, NOW + LIFE - TimeDelta::seconds(1)).is_some());
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        // {"alg":"none","typ":"JWT"} with the claims of a real one.
        let ours = tokens("a-secret-of-at-least-32-bytes-ours");
        let session = SessionId::new(NOW);
        let token = issue(&ours, session);
        let claims = token.split('.').nth(1).unwrap_or_default();
        for forged in [
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
            format!("{token}x"),
            String::new(),
            "a.b.c".into(),
        ] {
            assert!(ours.read(&forged, session, NOW).is_none(), "{forged}");
        }
    }
}
