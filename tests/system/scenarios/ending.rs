//! The end of a day: nothing is owed, everything has ended, what the scenario expects is so, and every promise was kept.

use anyhow::{Result, ensure};
use incident::fact::What;
use incident::promises::world::{self, Whereabouts};
use simulation::expected::Seen;

use super::play::Play;
use crate::pipeline::Left;

/// What is left when nothing goes on any more, and the scenario's expectations are met; else why not yet.
pub(super) async fn at_rest(play: &Play<'_>) -> Result<Left> {
    let pipeline = &*play.pipeline;
    pipeline.is_idle().await?;
    let left = pipeline.left(&play.namespaces(), &play.known_before).await?;
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
        ensure!(!accepted.is_empty() || self.telling.heard > 0, "no alert was accepted");
        nobody_is_told_of_what_is_silenced(&left)?;
        self.pipeline.records_are_whole().await?;
        Ok(self.telling.refused)
    }
}

/// What was silenced before anybody was told of it is not told as long as it is.
fn nobody_is_told_of_what_is_silenced(left: &Left) -> Result<()> {
    for (incident, facts) in &left.facts {
        let mut is_muted = false;
        for fact in facts {
            match &fact.what {
                What::Muted { .. } => is_muted = true,
                What::Unmuted { .. } => is_muted = false,
                What::Told { place, .. } => ensure!(!is_muted, "{incident} is silenced, and was told: {place}"),
                _ => {}
            }
        }
    }
    Ok(())
}
