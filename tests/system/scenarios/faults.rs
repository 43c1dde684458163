//! What goes wrong, made real: processes and servers are killed, disks filled, wires cut, providers told to misbehave.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use incident::task::Role;
use simulation::scenario::{Provider, Trouble};
use testkit::fakes::Failure;
use testkit::{Wire, WireFault};

use super::play::{Due, Play};
use crate::pipeline::Pipeline;

/// How late a slow provider answers: less than anybody waits.
const SLOW: Duration = Duration::from_secs(2);
/// How late a slow wire brings each piece of an answer.
const SLOW_WIRE: Duration = Duration::from_millis(400);
/// For longer than anybody waits.
const SILENT: Duration = Duration::from_hours(1);
/// When to come again, as a provider that is asked too often says.
const COME_AGAIN_S: u32 = 2;

/// What is mended when its time is over.
pub(super) enum Over {
    /// A provider or a wire, unless it has begun to fail anew.
    Outage(Provider, u32),
    /// A role's process is started.
    Away(Role),
    /// The bus, or the server of this name, is started.
    Nats(Option<String>),
    /// The bus gets room again.
    Full,
    /// Postgres is started.
    Postgres,
}

impl Play<'_> {
    pub(super) async fn breaks(&mut self, of: Provider, how: Trouble, for_s: u32) -> Result<()> {
        self.outages += 1;
        self.newest_outage.insert(of, self.outages);
        let outage = Over::Outage(of, self.outages);
        let over = match (of, how) {
            (Provider::Nats, Trouble::Full) => {
                self.pipeline.fill_nats().await?;
                Over::Full
            }
            (Provider::Nats, _) => Over::Nats(self.pipeline.kill_nats().await?),
            (Provider::Postgres, Trouble::Dies) => {
                self.pipeline.kill_postgres().await?;
                Over::Postgres
            }
            (Provider::Slack, how) => {
                self.pipeline.slack.outage(Some(failure(how)?));
                outage
            }
            (Provider::Jira, how) => {
                self.pipeline.jira.outage(Some(failure(how)?));
                outage
            }
            (Provider::Kubernetes | Provider::Prometheus | Provider::Postgres, how) => {
                wire(self.pipeline, of)?.fails(Some(fault(how)?));
                outage
            }
        };
        let after = self.seconds(for_s);
        self.later(after, Due::Ends(over));
        Ok(())
    }

    pub(super) async fn kill(&mut self, role: Role, for_s: u32) -> Result<()> {
        self.pipeline.process.kill9_role(role).await?;
        let after = self.seconds(for_s);
        self.later(after, Due::Ends(Over::Away(role)));
        Ok(())
    }

    pub(super) async fn mend(&mut self, over: Over) -> Result<()> {
        match over {
            Over::Away(role) => self.pipeline.process.launch_role(role),
            Over::Nats(name) => self.pipeline.start_nats(name.as_deref()).await,
            Over::Full => self.pipeline.empty_nats().await,
            Over::Postgres => self.pipeline.restart_postgres().await,
            Over::Outage(of, number) if self.newest_outage.get(&of) == Some(&number) => self.works_again(of),
            Over::Outage(..) => Ok(()),
        }
    }

    fn works_again(&mut self, of: Provider) -> Result<()> {
        match of {
            Provider::Slack => self.pipeline.slack.outage(None),
            Provider::Jira => self.pipeline.jira.outage(None),
            Provider::Kubernetes | Provider::Prometheus | Provider::Postgres | Provider::Nats => {
                wire(self.pipeline, of)?.fails(None);
            }
        }
        Ok(())
    }
}

fn failure(how: Trouble) -> Result<Failure> {
    Ok(match how {
        Trouble::Refuses => Failure::Status(500),
        Trouble::Slow => Failure::Hang(SLOW),
        Trouble::Silent => Failure::Hang(SILENT),
        Trouble::LosesAnswers => Failure::DropAfterCommit,
        Trouble::Limits => Failure::RateLimited(COME_AGAIN_S),
        Trouble::Dies | Trouble::Full => bail!("no provider fails like this ({how:?})"),
    })
}

fn fault(how: Trouble) -> Result<WireFault> {
    Ok(match how {
        Trouble::Refuses => WireFault::Refuses,
        Trouble::Slow => WireFault::Slow(SLOW_WIRE),
        Trouble::Silent => WireFault::Silent,
        Trouble::LosesAnswers => WireFault::LosesAnswers,
        Trouble::Limits | Trouble::Dies | Trouble::Full => bail!("no wire fails like this ({how:?})"),
    })
}

fn wire(pipeline: &Pipeline, of: Provider) -> Result<&Wire> {
    let wires = pipeline.wires.as_ref().context("the program is not reached over wires")?;
    match of {
        Provider::Kubernetes => Ok(&wires.kubernetes),
        Provider::Prometheus => wires.prometheus.as_ref().context("there is no Prometheus"),
        Provider::Postgres => Ok(&wires.postgres),
        Provider::Slack | Provider::Jira | Provider::Nats => bail!("{of:?} is not reached over a wire"),
    }
}
