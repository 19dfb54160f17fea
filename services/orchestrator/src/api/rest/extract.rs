//! What handlers take from a request: the token of the path, the client's network.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts, Path},
    http::request::Parts,
};
use domain::SessionToken;
use fault::{Fault, codes};

use super::Gateway;
use crate::{
    network::{self, ClientNetwork},
    session::Key,
};

/// The token in the path. A malformed one costs no query.
pub struct Token(pub SessionToken);

impl Token {
    /// The key of its session.
    pub fn key(&self) -> Key {
        Key::Token(self.0.clone())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let token = Path::<String>::from_request_parts(parts, state).await;
        token
            .ok()
            .and_then(|Path(token)| token.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                Fault::new(
                    codes::INVALID_TOKEN,
                    "A session token has 20 to 128 letters, digits and dashes.",
                )
            })
    }
}

/// Whose limits the request counts against.
pub struct Client(pub ClientNetwork);

impl FromRequestParts<Gateway> for Client {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Fault> {
        let ConnectInfo(peer) = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .ok_or_else(|| Fault::internal("the server does not tell the peer's address"))?;
        let forwarded: Vec<&str> = parts
            .headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        let address = network::client(peer.ip(), forwarded.into_iter(), &gateway.config.proxies);
        Ok(Self(ClientNetwork::of(address)))
    }
}
