//! Which addresses may be posted to. A client names the address, so it must not become a way to reach what only this process can
//! reach: other machines of the cluster, the metadata service of the cloud, this machine itself.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Where events may be posted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Targets {
    /// Over https to addresses that are public.
    #[default]
    Public,
    /// Anywhere, also over http and to this machine: for an agent that is itself a test.
    Anywhere,
}

/// Refuses a URL that cannot be right, whatever its name resolves to later.
pub(super) fn check(url: &str, targets: Targets) -> Result<Url, &'static str> {
    let url = Url::parse(url).map_err(|_| "must be an absolute URL")?;
    let is_web = match targets {
        Targets::Public => url.scheme() == "https",
        Targets::Anywhere => ["http", "https"].contains(&url.scheme()),
    };
    if !is_web {
        return Err("must be https");
    }
    let address = match url.host() {
        None => return Err("must name a host"),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
    };
    if targets == Targets::Public && address.is_some_and(|address| !is_public(address)) {
        return Err("must be a public address");
    }
    Ok(url)
}

/// Looks names up for the HTTP client. It connects to what is answered here and to nothing else, so a name cannot mean one address when
/// it is checked and another when it is used.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Targets);

#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not public")]
pub(super) struct NotPublic;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One address that is not public makes all others suspicious.
            if targets == Targets::Public && found.iter().any(|address| !is_public(address.ip())) {
                return Err(Box::new(NotPublic) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the whole world (IANA special-purpose address registries, RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_relay = a == 192 && b == 88 && c == 99;
    let is_benchmark = a == 198 && (18..20).contains(&b);
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        // The metadata services of clouds are here: 169.254.169.254.
        || address.is_link_local()
        || is_shared
        || is_protocol
        || is_relay
        || is_benchmark
        || address.is_documentation()
        || address.is_multicast()
        // Reserved, with broadcast.
        || a >= 240)
}

/// Only what is handed out as global unicast, and of that nothing that leads to an address of version 4 or into a tunnel.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, ..] = address.segments();
    let is_global = (a & 0xe000) == 0x2000;
    // 2001::/23 (Teredo, ORCHID and the like), 2001:db8::/32, 2002::/16 (6to4), 3fff::/20 (documentation).
    let is_special = match a {
        0x2001 => b < 0x0200 || b == 0x0db8,
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_address(text: &str, expected: bool) {
        assert_eq!(is_public(text.parse().expect(text)), expected, "{text}");
    }

    #[test]
    fn only_addresses_of_the_whole_world_are_public() {
        for public in
            ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "198.17.1.1", "223.255.255.1"]
        {
            check_address(public, true);
        }
        for public in ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "::ffff:8.8.8.8"] {
            check_address(public, true);
        }
        for own in ["0.0.0.0", "0.1.2.3", "10.0.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "192.168.1.1"] {
            check_address(own, false);
        }
        for own in
            ["100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255"]
        {
            check_address(own, false);
        }
        for own in ["::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::a00:1", "100::1"] {
            check_address(own, false);
        }
        for own in ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1"] {
            check_address(own, false);
        }
    }

    fn check_url(url: &str, public: bool, anywhere: bool) {
        assert_eq!(check(url, Targets::Public).is_ok(), public, "{url}");
        assert_eq!(check(url, Targets::Anywhere).is_ok(), anywhere, "{url}");
    }

    #[test]
    fn urls_are_checked_before_any_name_is_looked_up() {
        check_url("https://hooks.example.com/a?b=c", true, true);
        check_url("https://8.8.8.8/", true, true);
        check_url("http://hooks.example.com/", false, true);
        check_url("https://127.0.0.1/", false, true);
        // Other ways to write the same.
        check_url("https://2130706433/", false, true);
        check_url("https://0x7f.1/", false, true);
        check_url("https://[::1]/", false, true);
        check_url("https://[::ffff:10.0.0.1]/", false, true);
        check_url("ftp://hooks.example.com/", false, false);
        check_url("file:///etc/passwd", false, false);
        check_url("/hook", false, false);
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_when_it_is_looked_up() {
        let look_up = async |targets| Resolver(targets).resolve("localhost".parse().expect("a name")).await;
        assert!(look_up(Targets::Public).await.is_err_and(|error| error.is::<NotPublic>()));
        assert!(look_up(Targets::Anywhere).await.is_ok_and(|mut found| found.next().is_some()));
    }
}
