//! The gateway's HTTP API, as the command line uses it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::args::Connection;

/// A person waits.
const WITHIN: Duration = Duration::from_secs(10);
/// Where `paramedic up` leaves address and token for the commands that follow.
pub(crate) const CLIENT_FILE: &str = "client.toml";

/// A gateway to ask.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    url: Url,
    token: String,
}

/// What `paramedic up` leaves behind.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientFile {
    pub(crate) url: String,
    pub(crate) token: String,
}

/// RFC 9457.
#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Api {
    /// From flags and environment, else from what `paramedic up` left.
    pub(crate) fn new(connection: &Connection) -> anyhow::Result<Self> {
        let path = connection.home.join(CLIENT_FILE);
        let left: Option<ClientFile> = std::fs::read_to_string(&path).ok().map(|text| toml::from_str(&text)).transpose()?;
        let left = left.as_ref();
        let url = connection.url.clone().or_else(|| left.map(|file| file.url.clone()));
        let token = connection.token.clone().or_else(|| left.map(|file| file.token.clone()));
        let (Some(url), Some(token)) = (url, token) else {
            bail!(
                "no gateway: start one with `paramedic up`, or set PARAMEDIC_URL and PARAMEDIC_TOKEN ({} is not there)",
                path.display()
            );
        };
        Self::at(&url, token)
    }

    /// At an address.
    pub(crate) fn at(url: &str, token: String) -> anyhow::Result<Self> {
        let http = Client::builder().timeout(WITHIN).build()?;
        Ok(Self { http, url: url.parse().with_context(|| format!("{url} is no address"))?, token })
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path)?).await
    }

    /// POST.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.post_once(path, body, None).await
    }

    /// POST of what has a name: sent again under the same one it counts once.
    pub(crate) async fn post_once<T: DeserializeOwned>(&self, path: &str, body: &Value, key: Option<&str>) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path)?.json(body);
        self.send(if let Some(key) = key { request.header("Idempotency-Key", key) } else { request }).await
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let request = self.http.request(method, self.url.join(path)?);
        Ok(request.bearer_auth(&self.token).header("Paramedic-Channel", "cli"))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response =
            request.send().await.with_context(|| format!("no answer from {}: is `paramedic up` running?", self.url))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.json().await?);
        }
        let problem: Problem = response.json().await.unwrap_or(Problem { title: String::new(), detail: String::new() });
        let what = if problem.detail.is_empty() { problem.title } else { problem.detail };
        match status {
            StatusCode::UNAUTHORIZED => bail!("the gateway does not know your token ({what})"),
            status => bail!("{what} ({status})"),
        }
    }
}
