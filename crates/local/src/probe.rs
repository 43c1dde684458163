//! Asking a server itself whether it is ready.

use std::net::Ipv4Addr;
use std::sync::Once;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One question may take this long; the next one comes soon after.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the answer comes from.
#[derive(Clone)]
pub(crate) enum Probe {
    /// A URL that answers 200.
    Http(String),
    /// A PostgreSQL that asks for a password: before it is ready it refuses with SQLSTATE 57P03 instead.
    Postgres(u16),
    /// A Kubernetes API server whose `/readyz` is fine.
    Kubernetes(kube::Client),
    /// Something that at least listens.
    Tcp(u16),
}

impl Probe {
    /// Whether the server says that it is ready. Every failure to get an answer is a no.
    pub(crate) async fn ready(&self) -> bool {
        let asked = async {
            match self {
                Self::Http(url) => http().get(url).send().await.is_ok_and(|answer| answer.status().is_success()),
                Self::Postgres(port) => postgres_asks_for_password(*port).await.unwrap_or(false),
                Self::Kubernetes(client) => kubernetes_is_ready(client).await,
                Self::Tcp(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.is_ok(),
            }
        };
        tokio::time::timeout(PROBE_TIMEOUT, asked).await.unwrap_or(false)
    }
}

/// An HTTP client for servers on loopback: no proxy, and no connection kept (a restarted server would break it).
pub(crate) fn http() -> reqwest::Client {
    provide_crypto();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(10)).build().unwrap_or_default()
}

/// TLS needs one process-wide choice of cryptography; whoever comes first makes it.
pub(crate) fn provide_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

async fn kubernetes_is_ready(client: &kube::Client) -> bool {
    let Ok(request) = axum::http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    client.request_text(request).await.is_ok()
}

/// Sends a startup packet (protocol 3.0, PostgreSQL manual 55.7) for a user that need not exist, and looks at the first
/// byte of the answer: `R` asks to authenticate, `E` is a refusal.
async fn postgres_asks_for_password(port: u16) -> std::io::Result<bool> {
    const PARAMETERS: &[u8] = b"user\0probe\0\0";
    let mut packet = Vec::new();
    let length = 8 + u32::try_from(PARAMETERS.len()).unwrap_or_default();
    packet.extend(length.to_be_bytes());
    packet.extend(0x0003_0000_u32.to_be_bytes());
    packet.extend(PARAMETERS);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(&packet).await?;
    Ok(stream.read_u8().await? == b'R')
}
