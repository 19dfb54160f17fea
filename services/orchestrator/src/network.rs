//! Whose limits a request counts against: the client's address, IPv6 by /64.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use service::config::Proxies;

/// An IPv4 address, or an IPv6 network of 64 bits: what one household or host usually has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(String);

impl ClientNetwork {
    /// The network of an address. An IPv4 address in IPv6 clothes counts as itself.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_string()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
        }
    }

    /// The network as text, as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The client's address: the peer's, unless the peer is a trusted proxy; then the right-most address of
/// `X-Forwarded-For` that is not one (control-plane.md section 3). What stands left of it anybody can invent. An entry
/// that is no address ends the search: the nearest proxy before it is the best that is known.
pub fn client<'a>(peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>, proxies: &Proxies) -> IpAddr {
    let mut nearest = peer;
    if !proxies.contain(peer) {
        return nearest;
    }
    for entry in forwarded.rev().flat_map(|header| header.rsplit(',')) {
        let Some(address) = address(entry.trim()) else {
            return nearest;
        };
        nearest = address;
        if !proxies.contain(address) {
            break;
        }
    }
    nearest
}

/// Some proxies add the port: `203.0.113.7:4711`, `[2001:db8::1]:4711`.
fn address(entry: &str) -> Option<IpAddr> {
    entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let proxies = "10.0.0.0/8, fd00::/8".parse().expect("networks");
        ClientNetwork::of(client(ip(peer), forwarded.iter().copied(), &proxies)).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("203.0.113.7", &["198.51.100.1"]), "203.0.113.7");
    }

    #[test]
    fn behind_proxies_the_right_most_untrusted_address_counts() {
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(
            seen("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.2,10.0.0.3"]),
            "203.0.113.7"
        );
        assert_eq!(seen("fd00::1", &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:203.0.113.7"]), "203.0.113.7");
    }

    #[test]
    fn without_a_readable_address_the_nearest_proxy_counts() {
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.7, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        assert_eq!(seen("2001:db8:1:2:aaaa::1", &[]), "2001:db8:1:2::/64");
        assert_eq!(seen("2001:db8:1:2:bbbb::2", &[]), "2001:db8:1:2::/64");
        assert_ne!(seen("2001:db8:1:3::1", &[]), "2001:db8:1:2::/64");
    }
}
