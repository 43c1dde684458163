//! Private answers to clicks. Slack shows nothing of what stands in the acknowledgement of a click; the person sees what is posted to
//! the click's `response_url`: <https://docs.slack.dev/interactivity/handling-user-interaction>.
//!
//! The address comes from outside. It is used only if it stands under the base that the tenant's configuration names; no redirect is
//! followed; and it is never logged, because whoever knows it may post.

use std::sync::Arc;
use std::time::Duration;

use incident::id::TenantId;
use reqwest::Client;
use reqwest::redirect::Policy;
use runtime::lifecycle::Lifecycle;
use serde::Serialize;
use tokio::sync::Semaphore;
use url::{Host, Url};

/// Answers on their way at once: people click one by one. What comes on top is dropped, and said in the log.
const REPLIES_MAX: usize = 64;
/// One answer. Later, the person has clicked again.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// A message that only the person who clicked sees.
#[derive(Debug, Serialize)]
struct Private<'a> {
    response_type: &'static str,
    replace_original: bool,
    text: &'a str,
}

/// The way back to people who clicked.
pub struct Replies {
    outside: Client,
    /// A proxy from the environment is for the outside world, never for this machine.
    here: Client,
    life: Lifecycle,
    places: Arc<Semaphore>,
}

impl Replies {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up: no TLS roots on this machine.
    pub fn new(life: Lifecycle) -> Result<Self, reqwest::Error> {
        // "Already installed" is the only error, and means what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || Client::builder().redirect(Policy::none()).timeout(REPLY_WITHIN);
        let (outside, here) = (builder().build()?, builder().no_proxy().build()?);
        Ok(Self { outside, here, life, places: Arc::new(Semaphore::new(REPLIES_MAX)) })
    }

    /// Sends `text` to the person who clicked, after the click was acknowledged: nobody waits for it. If it does not arrive, the log
    /// says so, and nothing else depends on it.
    pub(crate) fn send(&self, tenant: &TenantId, to: Option<&Url>, text: String) {
        let Some(to) = to.cloned() else {
            tracing::warn!(%tenant, text, "a person could not be told: the click names no address that answers may go to");
            return;
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            tracing::warn!(%tenant, text, "a person could not be told: too many answers are on their way");
            return;
        };
        let (client, tenant) = (if is_loopback(&to) { &self.here } else { &self.outside }.clone(), tenant.clone());
        self.life.spawn_work(async move {
            if let Err(why) = post(&client, to, &text).await {
                tracing::warn!(%tenant, text, why, "a person could not be told");
            }
            drop(place);
        });
    }
}

async fn post(client: &Client, to: Url, text: &str) -> Result<(), String> {
    let private = Private { response_type: "ephemeral", replace_original: false, text };
    let sent = client.post(to).json(&private).send().await.map_err(|error| runtime::chain(&error.without_url()))?;
    if sent.status().is_success() { Ok(()) } else { Err(format!("Slack answered {}", sent.status())) }
}

/// Whether an address is this machine's.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
