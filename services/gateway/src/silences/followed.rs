//! An Alertmanager's silences, followed by itself: looked at every so often, and taken over as a person's import would. Each gateway does
//! so; what another one has taken over is as it was. Nothing is written there.
//!
//! An Alertmanager that does not answer, or with something else than silences, changes nothing here: what was taken over stays as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use incident::agents::gateway::Gateway;
use incident::id::TenantId;
use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use runtime::Handle;
use runtime::lifecycle::Lifecycle;
use store::Store;
use tokio::time::{MissedTickBehavior, interval};

use super::Memory;
use super::imported::{BODY_BYTES_MAX, For, Imported, Skipped, Theirs, take_over};
use crate::config::SilencesOf;
use crate::count::SILENCES_FOLLOWED;
use crate::replies::is_loopback;

/// One answer of an Alertmanager; the least that may be configured between two questions is as long.
const WITHIN: Duration = Duration::from_secs(10);

/// One tenant's Alertmanager.
pub struct Following {
    tenant: TenantId,
    of: SilencesOf,
    ballots: Handle<Gateway>,
    store: Store,
    http: Client,
    /// What was not taken, as it was said last.
    skipped: BTreeSet<Skipped>,
}

impl Following {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up: no TLS roots on this machine.
    pub fn new((tenant, of): (TenantId, SilencesOf), ballots: Handle<Gateway>, store: Store) -> Result<Self, reqwest::Error> {
        // "Already installed" is the only error, and means what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder().redirect(Policy::none()).timeout(WITHIN);
        // A proxy from the environment is for the outside world, never for this machine.
        let http = if is_loopback(&of.alertmanager) { builder.no_proxy() } else { builder }.build()?;
        Ok(Self { tenant, of, ballots, store, http, skipped: BTreeSet::new() })
    }

    /// Follows until the process stops.
    ///
    /// # Errors
    /// None: what fails is logged, counted and tried again at the next look.
    pub async fn run(mut self, life: Lifecycle) -> anyhow::Result<()> {
        let mut tick = interval(Duration::from_secs(u64::from(self.of.every_s)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = life.stopping() => return Ok(()),
            }
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = life.stopping() => return Ok(()),
            };
            let result = if looked.is_ok() { "done" } else { "failed" };
            SILENCES_FOLLOWED.with_label_values(&[self.tenant.as_str(), result]).inc();
            match looked {
                Ok(imported) => self.say_skipped(imported.skipped),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(tenant = %self.tenant, error, "an Alertmanager's silences could not be taken over; trying again");
                }
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Imported> {
        let theirs = self.theirs().await.with_context(|| format!("asking the Alertmanager at {}", self.of.alertmanager))?;
        let memory = Memory { ballots: &self.ballots, store: &self.store };
        let by = For { tenant: &self.tenant, owner: &self.of.owner };
        let imported = take_over(theirs, memory, by).await;
        imported.map_err(|problem| anyhow::anyhow!("{problem:?}")).context("writing what was silenced there")
    }

    async fn theirs(&self) -> anyhow::Result<Vec<Theirs>> {
        let mut url = self.of.alertmanager.clone();
        let folder = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{folder}/api/v2/silences"));
        let mut request = self.http.get(url);
        if let Some(token) = &self.of.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        ensure!(answer.status().is_success(), "it answers {}", answer.status());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(body.len() + chunk.len() <= BODY_BYTES_MAX, "it answers with more than {BODY_BYTES_MAX} bytes");
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).context("it answers with something else than silences")
    }

    /// Says once what is not taken, and why.
    fn say_skipped(&mut self, skipped: Vec<Skipped>) {
        let skipped: BTreeSet<Skipped> = skipped.into_iter().collect();
        for Skipped { alertmanager, why } in skipped.difference(&self.skipped) {
            tracing::warn!(tenant = %self.tenant, silence = alertmanager, why, "an Alertmanager's silence does not hold here");
        }
        self.skipped = skipped;
    }
}
