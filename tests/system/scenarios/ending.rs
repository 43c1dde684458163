//! The end of a day: nothing is owed, everything has ended, what the scenario expects is so, and every promise was kept.

use anyhow::{Result, ensure};
use incident::promises::world::{self, Whereabouts};
use simulation::expected::Seen;

use super::play::Play;
use crate::pipeline::{Left, TENANT};

/// What is left when nothing goes on any more, and the scenario's expectations are met; else why not yet.
pub(super) async fn at_rest(play: &Play<'_>) -> Result<Left> {
    let pipeline = &*play.pipeline;
    pipeline.is_idle().await?;
    let left = pipeline.left(&play.namespaces()).await?;
    let unfinished = world::every_incident_ended(&left.all_facts());
    ensure!(unfinished.is_empty(), "{unfinished:?}");
    let dead_letters = usize::try_from(pipeline.dead_letters().await? - play.dead_before)?;
    let seen = Seen { facts: left.facts.values().flatten().collect(), deeds: left.deeds.iter().collect(), dead_letters };
    let mut unmet = play.scenario.always.unmet(&seen);
    unmet.extend(play.scenario.undisturbed.unmet(&seen));
    ensure!(unmet.is_empty(), "{}", unmet.join(", "));
    Ok(left)
}

impl Play<'_> {
    /// The end is the end; gives how often webhooks were not accepted.
    pub(super) async fn check(mut self, left: Left) -> Result<u32> {
        self.pipeline.process.ready().await?;
        self.pipeline.promises_kept(&left).await?;
        let mut accepted = std::mem::take(&mut self.telling.accepted);
        let (handled, dead) = (self.pipeline.handled_alerts().await?, self.pipeline.dead_ids().await?);
        for one in &mut accepted {
            one.whereabouts = match (handled.contains(&one.id), dead.contains(&one.id)) {
                (true, _) => Whereabouts::Handled,
                (false, true) => Whereabouts::Dead,
                (false, false) => Whereabouts::Nowhere,
            };
        }
        let mut broken = world::accepted_means_kept(&accepted);
        broken.extend(world::accepted_reached_an_incident(&accepted, &left.all_facts()));
        ensure!(broken.is_empty(), "{broken:?}");
        ensure!(!accepted.is_empty(), "no alert was accepted");
        self.pipeline.process.administers(&["audit", "verify", "--tenant", TENANT]).await?;
        Ok(self.telling.refused)
    }
}
