//! A day as it goes: what the scenario says is done when its time has come, and what depends on the course of things when that has
//! happened. It waits for the end of all work, and asks then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use simulation::scenario::{Answers, Happening, Moment, Place, Provider, Scenario, What, When};
use tokio::time::{Instant, sleep};

use super::alerts::{Notice, Telling};
use super::ending::at_rest;
use super::faults::Over;
use crate::pipeline::{OTHER_TENANT, Pipeline, TENANT, Waiting};

/// Between two looks at what has happened.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two looks at everything.
const LOOK_FOR_REST_EVERY: Duration = Duration::from_millis(500);
/// Who was not answered calls again after this.
pub(super) const CALL_AGAIN: Duration = Duration::from_millis(500);
/// What a call of the gateway may take: a person, and Alertmanager, try again then.
const CALL_WITHIN: Duration = Duration::from_secs(3);
/// After the last thing that the scenario says, work ends within this.
const RESTS_WITHIN: Duration = Duration::from_mins(2);

/// Something that is due.
pub(super) enum Due {
    /// A happening of the scenario.
    Happens(Happening),
    /// Alertmanager calls.
    Tells(Notice),
    /// A tenant's heartbeat is sent.
    Beats(&'static str),
    /// Somebody silences a workload until then.
    Silences(Place, DateTime<Utc>),
    /// Somebody answers the plan that is given, or else the newest.
    Answers(Answers, Option<u32>),
    /// What failed is mended.
    Ends(Over),
}

/// A day on real parts.
pub(super) struct Play<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) scenario: &'a Scenario,
    second: Duration,
    /// Where each workload is.
    pub(super) shops: BTreeMap<Place, String>,
    pub(super) http: Client,
    /// What is due, by time and order.
    agenda: BTreeMap<(Instant, usize), Due>,
    placed: usize,
    reached: BTreeSet<Moment>,
    /// Plans in the order in which people could see them.
    pub(super) asked: Vec<Waiting>,
    pub(super) telling: Telling,
    /// Incidents that were there before.
    pub(super) known_before: BTreeSet<String>,
    /// Dead letters that were there before.
    pub(super) dead_before: u64,
    /// Releases of each workload.
    pub(super) releases: BTreeMap<Place, u32>,
    /// Votes put on the bus past the gateway.
    pub(super) votes: u32,
    /// Outages so far, and the newest of each part.
    pub(super) outages: u32,
    pub(super) newest_outage: BTreeMap<Provider, u32>,
}

/// The workloads of a scenario, in order.
pub(super) fn shops(scenario: &Scenario) -> BTreeSet<Place> {
    scenario.happens.iter().filter_map(|happening| place(&happening.what).cloned()).collect()
}

const fn place(what: &What) -> Option<&Place> {
    match what {
        What::Release { workload, .. }
        | What::Edit { workload }
        | What::Trouble { workload, .. }
        | What::Stuck { workload, .. }
        | What::Lags { workload, .. }
        | What::Silences { workload, .. } => Some(workload),
        What::Fires(fires) | What::Resolves(fires) => Some(&fires.workload),
        What::Answers(_) | What::Orders(_) | What::Outage { .. } | What::Away { .. } | What::Approvers { .. } | What::Beats => {
            None
        }
    }
}

/// Whether all of it can be played on real parts.
pub(super) fn check(scenario: &Scenario) -> Result<()> {
    for Happening { what, .. } in &scenario.happens {
        let why = match what {
            What::Stuck { .. } => "nobody can make a real API server say that a rollout is stuck",
            What::Lags { .. } => "a real API server shows what there is",
            What::Orders(_) => "orders are given through the gateway by tests of their own",
            what if place(what).is_some_and(|place| ![TENANT, OTHER_TENANT].contains(&place.tenant.as_str())) => {
                "only the tenants acme and globex are configured"
            }
            _ => continue,
        };
        bail!("{}: {what:?} cannot be played for real: {why}", scenario.name);
    }
    Ok(())
}

impl<'a> Play<'a> {
    /// Prepares a day in namespaces that nobody has used.
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        scenario: &'a Scenario,
        second: Duration,
        namespaces: &mut impl Iterator<Item = String>,
    ) -> Result<Self> {
        check(scenario)?;
        let taken = shops(scenario).into_iter().map(|place| anyhow::Ok((place, namespaces.next().context("too few shops")?)));
        Ok(Self {
            pipeline,
            scenario,
            second,
            shops: taken.collect::<Result<_>>()?,
            http: Client::builder().no_proxy().timeout(CALL_WITHIN).build()?,
            agenda: BTreeMap::new(),
            placed: 0,
            reached: BTreeSet::new(),
            asked: Vec::new(),
            telling: Telling::default(),
            known_before: BTreeSet::new(),
            dead_before: 0,
            releases: BTreeMap::new(),
            votes: 0,
            outages: 0,
            newest_outage: BTreeMap::new(),
        })
    }

    /// The namespaces of this day.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.shops.values().cloned().collect()
    }

    /// The namespace of a workload.
    pub(super) fn namespace(&self, place: &Place) -> Result<String> {
        self.shops.get(place).cloned().with_context(|| format!("no shop for {place:?}"))
    }

    /// So many seconds of the scenario.
    pub(super) fn seconds(&self, s: u32) -> Duration {
        self.second * s
    }

    /// What is still to come.
    pub(super) fn due(&self) -> impl Iterator<Item = &Due> {
        self.agenda.values()
    }

    pub(super) fn later(&mut self, after: Duration, due: Due) {
        self.placed += 1;
        self.agenda.insert((Instant::now() + after, self.placed), due);
    }

    /// Plays it to its end; gives how often webhooks were not accepted.
    pub(super) async fn run(mut self) -> Result<u32> {
        eprintln!("-- {}: {}", self.scenario.name, self.scenario.about);
        self.known_before = self.pipeline.known().await?;
        self.dead_before = self.pipeline.dead_letters().await?;
        for happening in self.scenario.happens.clone() {
            if let When::At { s } = happening.when {
                self.place(s, &happening);
            }
        }
        let (mut rests_by, mut looks_at) = (Instant::now() + RESTS_WITHIN, Instant::now());
        loop {
            self.look().await?;
            while let Some(due) = self.next() {
                self.carry_out(due).await?;
                rests_by = Instant::now() + RESTS_WITHIN;
            }
            if self.agenda.is_empty() && Instant::now() >= looks_at {
                looks_at = Instant::now() + LOOK_FOR_REST_EVERY;
                match at_rest(&self).await {
                    Ok(left) => return self.check(left).await,
                    Err(why) if Instant::now() > rests_by => return Err(why.context("it does not come to rest")),
                    Err(_) => {}
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn place(&mut self, after: u32, happening: &Happening) {
        for time in 0..happening.times {
            let after = self.seconds(after + time * happening.every_s);
            self.later(after, Due::Happens(happening.clone()));
        }
    }

    fn next(&mut self) -> Option<Due> {
        let (at, place) = self.agenda.keys().next().copied()?;
        if at > Instant::now() {
            return None;
        }
        self.agenda.remove(&(at, place))
    }

    /// Looks for moments that have come, and for alerts that are over.
    async fn look(&mut self) -> Result<()> {
        self.look_for_plans().await;
        let mut changes = 0;
        for namespace in self.shops.values() {
            changes += self.pipeline.watched.changes(&self.pipeline.owner(namespace)?, namespace)?.len();
        }
        let upto = |n: usize| 1..=u32::try_from(n).unwrap_or(u32::MAX);
        let moments = upto(self.asked.len()).map(Moment::Asked).chain(upto(changes).map(Moment::Changed));
        let new: Vec<Moment> = moments.filter(|moment| self.reached.insert(*moment)).collect();
        for happening in self.scenario.happens.clone() {
            match happening.when {
                When::After { moment, s } if new.contains(&moment) => self.place(s, &happening),
                When::After { .. } | When::At { .. } => {}
            }
        }
        self.look_for_recovery().await
    }

    async fn carry_out(&mut self, due: Due) -> Result<()> {
        match due {
            Due::Tells(notice) => self.tell(notice).await,
            Due::Beats(tenant) => self.beats(tenant).await,
            Due::Silences(workload, until) => self.silences(workload, until).await,
            Due::Answers(answers, nth) => self.answer(answers, nth).await,
            Due::Ends(over) => self.mend(over).await,
            Due::Happens(Happening { when, what, .. }) => {
                eprintln!("   {what:?}");
                self.happens(&when, what).await
            }
        }
    }

    async fn happens(&mut self, when: &When, what: What) -> Result<()> {
        match what {
            What::Release { workload, bad } => self.release(&workload, bad).await,
            What::Edit { workload } => {
                let namespace = self.namespace(&workload)?;
                self.pipeline.edit(&namespace).await
            }
            What::Trouble { workload, begins } => self.trouble(&workload, begins).await,
            What::Fires(fires) => self.fires(fires).await,
            What::Resolves(fires) => {
                self.resolves(when, fires);
                Ok(())
            }
            What::Beats => {
                for tenant in self.pipeline.tenants() {
                    self.beats(tenant).await?;
                }
                Ok(())
            }
            What::Silences { workload, for_s } => {
                let until = runtime::clock::now() + TimeDelta::from_std(self.seconds(for_s))?;
                self.silences(workload, until).await
            }
            What::Approvers { approvers } => self.pipeline.require(approvers).await,
            What::Answers(answers) => {
                let nth = match when {
                    When::After { moment: Moment::Asked(n), .. } => Some(*n),
                    When::After { .. } | When::At { .. } => None,
                };
                self.answer(answers, nth).await
            }
            What::Outage { of, how, for_s } => self.breaks(of, how, for_s).await,
            What::Away { role, for_s } => self.kill(role, for_s).await,
            What::Stuck { .. } | What::Lags { .. } | What::Orders(_) => bail!("{what:?} cannot be played for real"),
        }
    }

    async fn release(&mut self, workload: &Place, bad: bool) -> Result<()> {
        let releases = self.releases.entry(workload.clone()).or_default();
        *releases += 1;
        let image = format!("shop:v{}{}", *releases + 1, if bad { "-err30" } else { "" });
        let namespace = self.namespace(workload)?;
        if bad {
            self.telling.breaks(&namespace);
        }
        self.pipeline.release(&namespace, &image).await
    }

    /// Requests of the same service fail elsewhere as well, or no longer.
    async fn trouble(&mut self, workload: &Place, begins: bool) -> Result<()> {
        let namespace = self.namespace(workload)?;
        if begins {
            self.telling.breaks(&namespace);
            return self.pipeline.deploy_beside(&namespace, "canary", "shop:v9-err90").await;
        }
        self.telling.is_relieved(&namespace);
        self.pipeline.remove_beside(&namespace, "canary").await
    }
}
