//! The process dies at random moments of the story; what people see and the cluster gets is the same (P2).

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use incident::task::Phase;
use testkit::fakes::slack::{Message, SlackFake};
use tokio::time::{Instant, interval};

use crate::pipeline::{APPROVE, BAD, Ending, GOOD, Options, Pipeline, Process, SOON, Who, until, usual_shop};

/// Stories, one after the other, each in a namespace of its own.
const STORIES: usize = 5;
/// Kills in each story.
const KILLS: usize = 4;
/// A moment is at most so much more log: the program writes a line whenever something happens, and what happens is what a kill can break.
/// A start takes about half of this, the rest of a story one and a half times: four moments rarely reach beyond its end.
const LOG_BYTES_MAX: u64 = 20_000;
/// Where nothing is written, the moment comes after this: longer than any pause of a story.
const QUIET_MAX: Duration = Duration::from_millis(2_500);
/// Between two looks at the log: shorter than most steps.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Repeats the moments of an earlier run.
const SEED_VARIABLE: &str = "PARAMEDIC_TEST_SEED";

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed.
struct Random(u64);

impl Random {
    /// From the environment, or new each time; said either way.
    fn seeded() -> Result<Self> {
        let given = std::env::var_os(SEED_VARIABLE).map(|text| text.to_string_lossy().parse()).transpose();
        let fresh = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        let seed = given.context("reading the seed")?.unwrap_or_else(fresh);
        eprintln!("{SEED_VARIABLE}={seed}");
        Ok(Self(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Lets the program work until it has written so much more.
async fn moment(process: &Process, log_bytes: u64) {
    let (target, mut last) = (process.log_bytes() + log_bytes, process.log_bytes());
    let mut quiet_since = Instant::now();
    let mut look = interval(LOOK_EVERY);
    while last < target && quiet_since.elapsed() < QUIET_MAX {
        look.tick().await;
        let now = process.log_bytes();
        if now > last {
            (last, quiet_since) = (now, Instant::now());
        }
    }
}

/// Lets the program wait for the alert: until it has handled something about this namespace, there is nothing to break.
async fn begun(process: &Process, namespace: &str) -> Result<()> {
    let before = process.log_bytes();
    let what = format!("a first line about {namespace}");
    testkit::eventually(&what, SOON, async || process.log_after(before).contains(namespace).then_some(())).await
}

async fn kill_and_restart(process: &mut Process, random: &mut Random, namespace: &str) -> Result<()> {
    begun(process, namespace).await?;
    for kill in 1..=KILLS {
        let log_bytes = random.below(LOG_BYTES_MAX);
        moment(process, log_bytes).await;
        process.kill9().await?;
        eprintln!("kill {kill}, {log_bytes} bytes of log after the one before, after: {}", process.last_line());
        process.launch()?;
    }
    process.ready().await
}

/// Presses the button of this namespace's card until it is gone, as a person does who sees nothing happen.
async fn approve(slack: &SlackFake, interactions: &str, namespace: &str) -> Result<()> {
    let is_card = |message: &Message| message.thread_ts.is_none() && message.text.contains(namespace);
    let asks = |message: &Message| is_card(message) && message.blocks.to_string().contains(APPROVE);
    let card = slack.wait_for_message("a card that asks", SOON, asks).await?;
    testkit::eventually("an approval", SOON, async || match slack.click(&card, APPROVE, Who::Ana.slack_user()) {
        // A card that asks no more: a click counted, whether or not its answer was lost.
        Err(_) => Some(()),
        // An acknowledgement does not say whether it counted.
        Ok(click) => {
            click.post(interactions).await.ok();
            None
        }
    })
    .await
}

async fn story(pipeline: &mut Pipeline, namespace: &str, random: &mut Random) -> Result<()> {
    pipeline.release(namespace, BAD).await?;
    let interactions = pipeline.interactions();
    let Pipeline { process, slack, .. } = &mut *pipeline;
    tokio::try_join!(kill_and_restart(process, random, namespace), approve(slack, &interactions, namespace))?;
    until(&format!("the end of the incident in {namespace}"), async || {
        let incidents = pipeline.incidents().await?;
        let mut mine = incidents.iter().filter(|incident| incident.title.contains(namespace));
        let incident = mine.next().context("it has not begun")?;
        ensure!(mine.next().is_none(), "a second one: {incidents:?}");
        ensure!(incident.phase == Phase::Resolved, "{incident:?}");
        ensure!(incident.outcome.as_ref().is_some_and(|outcome| outcome.contains("approved rollback")), "{incident:?}");
        Ok(())
    })
    .await?;
    ensure!(pipeline.image(namespace).await? == GOOD);
    Ok(())
}

#[tokio::test]
async fn killed_at_twenty_random_moments_it_still_does_everything_once() -> Result<()> {
    let mut random = Random::seeded()?;
    let mut pipeline = Pipeline::with(Options { shops: vec![usual_shop(); STORIES], ..Options::default() }).await?;
    for namespace in pipeline.namespaces.clone() {
        story(&mut pipeline, &namespace, &mut random).await?;
    }
    pipeline.settled(Ending { incidents: STORIES, rollbacks: STORIES, ..Ending::REPAIRED }).await
}
