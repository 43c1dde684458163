//! Free ports on loopback.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// Linux hands out ports from 32768 up to outgoing connections. Ours lie below, so that no client takes a server's port
/// during the moment in which the server restarts.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;
/// With fewer than a third of the range in use, this many tries fail less than once in 10^14.
const TRIES: usize = 30;

/// `N` different ports that nobody listened on just now. Another process may still be faster: callers try again.
///
/// # Errors
/// If the system has no port or no random number.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    // All listeners are held until the last port is found, so that the ports differ.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = listen_somewhere()?;
        *port = listener.local_addr().map_err(Error::Port)?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn listen_somewhere() -> Result<TcpListener> {
    for _ in 0..TRIES {
        let random = getrandom::u32().map_err(|source| Error::Random(io::Error::other(source)))?;
        let offset = u16::try_from(random % u32::from(COUNT)).unwrap_or_default();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)) {
            return Ok(listener);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_free() {
        let mut ports = free::<8>().unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
