//! Kinds of settings with a form of their own.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

use super::Fallback;

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// On somebody's own machine; secrets may be left out.
    Development,
    /// For visitors.
    Production,
    /// Under test.
    Test,
}

impl Fallback for AppEnv {
    /// The strictest.
    fn fallback() -> Self {
        Self::Production
    }
}

impl FromStr for AppEnv {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            "test" => Ok(Self::Test),
            _ => Err("must be development, production or test"),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be json or pretty"),
        }
    }
}

/// Origins that may call from a browser: a comma list of scheme, host and port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(origin)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn origin(text: &str) -> Result<String, &'static str> {
    const MUST: &str = "must be a comma list of origins such as http://localhost:3004, without a path";
    let url = url::Url::parse(text).map_err(|_| MUST)?;
    let bare = url.path() == "/" && !text.ends_with('/') && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if bare && anonymous && matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(MUST)
    }
}

/// Networks whose `X-Forwarded-For` is believed: a comma list of addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(pub Vec<IpNet>);

impl Proxies {
    /// Whether `address` is one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

impl FromStr for Proxies {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = |text: &str| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        };
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| network(part).map_err(|_| "must be a comma list of addresses and networks such as 10.0.0.0/8"))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path() {
        assert_eq!(
            "http://localhost:3002, https://a.example".parse(),
            Ok(Origins(vec![
                "http://localhost:3002".into(),
                "https://a.example".into()
            ]))
        );
        for wrong in ["localhost", "http://a/b", "http://a/", "*", "ftp://a", "http://a:b@c"] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() -> Result<(), Box<dyn std::error::Error>> {
        let proxies: Proxies = "10.0.0.0/8, 192.168.1.7,fd00::/8".parse()?;
        assert!(
            proxies.contain("10.9.8.7".parse()?)
                && proxies.contain("192.168.1.7".parse()?)
                && proxies.contain("fd12::1".parse()?)
        );
        assert!(
            proxies.contain("::ffff:10.1.1.1".parse()?),
            "an IPv4 peer on a dual-stack socket"
        );
        assert!(!proxies.contain("192.168.1.8".parse()?));
        assert!("10.0.0.0/99".parse::<Proxies>().is_err());
        Ok(())
    }
}
