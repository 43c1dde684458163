//! One post: to the address that was checked, without redirects, within its time, and nothing of the answer is read but the status.

use std::sync::Arc;

use a2a::{StreamResponse, TaskPushNotificationConfig};
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, redirect};
use store::a2a::PushKey;

use super::address::{self, Resolver};
use super::{Failure, PushOptions};
use crate::limits::Limits;

/// Preferred for bodies of A2A over HTTP (spec §11).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/a2a+json");
/// The token of the configuration: the receiver sees by it that it asked for this (spec §4.3).
const TOKEN_HEADER: &str = "x-a2a-notification-token";
/// Task, configuration and event, the same for every try: the receiver knows by it what it has seen.
const ID_HEADER: &str = "x-a2a-notification-id";
/// See [`super::PushSigner`].
const SIGNATURE_HEADER: &str = "x-a2a-notification-signature";

/// Posts events.
#[derive(Debug)]
pub(crate) struct Poster {
    http: Client,
    options: PushOptions,
}

impl Poster {
    pub(crate) fn new(options: PushOptions, limits: &Limits) -> Result<Self, reqwest::Error> {
        // The process chooses its TLS provider once; "already installed" is the only error, and means what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("paramedic/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Resolver(options.targets)))
            // A proxy would look the name up again, and a redirect could lead anywhere.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(limits.post_max)
            .build()?;
        Ok(Self { http, options })
    }

    /// Whether events may be posted there, as far as can be said before the name is looked up.
    pub(crate) fn check(&self, url: &str) -> Result<(), &'static str> {
        address::check(url, self.options.targets).map(drop)
    }

    /// Posts one event.
    pub(crate) async fn post(
        &self,
        config: &TaskPushNotificationConfig,
        key: &PushKey,
        seq: i64,
        event: &StreamResponse,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let refused = |text: &str| Failure { text: text.to_owned(), is_final: true };
        // The rules may have become stricter since the configuration was stored.
        let url = address::check(&config.url, self.options.targets).map_err(refused)?;
        let body = serde_json::to_vec(event).map_err(|_| refused("the event cannot be written"))?;
        let id = format!("{}/{}/{seq}", key.task.id, key.id);
        let headers = self.headers(config, &id, &body, now).ok_or_else(|| refused("a header cannot be written"))?;
        let sent = self.http.post(url).headers(headers).body(body).send().await;
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            // The receiver says that it will never be there again (RFC 9110, section 15.5.11).
            Ok(answer) if answer.status() == StatusCode::GONE => Err(refused("the receiver is gone")),
            Ok(answer) => Err(Failure::passing(format!("the receiver answered {}", answer.status().as_u16()))),
            Err(error) => Err(Failure::passing(crate::core::chain(&error.without_url()))),
        }
    }

    fn headers(&self, config: &TaskPushNotificationConfig, id: &str, body: &[u8], now: DateTime<Utc>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, MEDIA_TYPE)]);
        headers.insert(ID_HEADER, HeaderValue::from_str(id).ok()?);
        if let Some(authentication) = &config.authentication {
            let credentials = authentication.credentials.as_deref().unwrap_or_default();
            let value = format!("{} {credentials}", authentication.scheme);
            headers.insert(AUTHORIZATION, secret(value.trim_end())?);
        }
        if let Some(token) = &config.token {
            headers.insert(TOKEN_HEADER, secret(token)?);
        }
        if let Some(signer) = &self.options.signer {
            headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(&signer.sign(id, body, now)?).ok()?);
        }
        Some(headers)
    }
}

/// A value that is not shown where requests are printed.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
