//! Tasks a second, from sending to completed, durable in a Postgres that waits for the disk. Postgres and the load are on the same
//! machine. `cargo run --release -p tasks --example throughput -- [callers] [seconds]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people, in its own surroundings"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use a2a::{A2aError, A2aService as _, AgentCard, Artifact, Caller, Message, Part, Role, SendMessageRequest, SendMessageResponse};
use a2a::{Task, TaskState};
use chrono::{DateTime, Utc};
use store::{Options as StoreOptions, Store, migrate, role_url};
use tasks::{Admission, Engine, Executor, Limits, Options, PushOptions, Surroundings, Updates, Work};

/// Answers every message with one artifact.
struct Echo;

impl Executor for Echo {
    async fn execute(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        updates.report(TaskState::Working).await?;
        updates.report(Artifact::new("answer", work.message.parts)).await?;
        updates.report(TaskState::Completed).await
    }

    async fn cancel(&self, _: Work, updates: Updates) -> Result<(), A2aError> {
        updates.report(TaskState::Canceled).await
    }

    fn admit(&self, _: &Caller, _: &SendMessageRequest, _: Option<&Task>) -> Result<Admission, A2aError> {
        Ok(Admission::Task)
    }
}

fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    u128::from_ne_bytes(bytes)
}

/// Seconds of CPU that a process and its children have used. Linux counts them in hundredths.
fn cpu(pid: u32) -> f64 {
    let all =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let ticks = all.filter_map(|stat| {
        let (id, rest) = stat.split_once(' ')?;
        let fields: Vec<&str> = rest.rsplit_once(')')?.1.split_whitespace().collect();
        let is_its = id.parse() == Ok(pid) || fields.get(1)?.parse() == Ok(pid);
        is_its.then(|| fields.get(11..13).into_iter().flatten().filter_map(|ticks| ticks.parse::<u32>().ok()).sum::<u32>())
    });
    f64::from(ticks.sum::<u32>()) / 100.0
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let (callers, seconds) = (arguments.next().unwrap_or(512), arguments.next().unwrap_or(10));
    let folder = testkit::Folder::new()?;
    let (environment, progress) = testkit::programs();
    let postgres = local::postgres::Postgres::start(local::postgres::Options {
        programs: local::install::postgres(&environment, &progress).await?,
        dir: folder.join("postgres"),
        port: None,
        durability: local::postgres::Durability::Durable,
        settings: vec![],
    })
    .await?;
    let role = incident::task::Role::Gateway;
    migrate(&postgres.url(), &[(role, "secret".to_owned())]).await?;
    let store = Store::connect(&StoreOptions::new(role_url(&postgres.url(), role, "secret")?, role)).await?;
    let options = Options {
        agent: "echo".to_owned(),
        card: AgentCard::default(),
        extended_card: None,
        surroundings: Surroundings { now, random },
        limits: Limits::default(),
        push: PushOptions::default(),
    };
    let engine = Engine::start(store, Echo, options).await?;
    let done = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut all = vec![];
    for caller in 0..callers {
        let (engine, done) = (engine.clone(), Arc::clone(&done));
        all.push(tokio::spawn(async move {
            let caller = Caller { tenant: "acme".to_owned(), sender: format!("caller-{}", caller % 16), ..Caller::default() };
            let mut waits = vec![];
            while Instant::now() < end {
                let sent = Instant::now();
                let message = Message::new(format!("{:032x}", random()), Role::User, vec![Part::text("say this back to me")]);
                let answer = engine.send_message(&caller, SendMessageRequest::new(message)).await.unwrap();
                let SendMessageResponse::Task(task) = answer else { unreachable!("a task was admitted") };
                assert_eq!(task.status.state, TaskState::Completed);
                done.fetch_add(1, Ordering::Relaxed);
                waits.push(sent.elapsed());
            }
            waits
        }));
    }
    let mut waits = vec![];
    for one in all {
        waits.extend(one.await?);
    }
    waits.sort_unstable();
    let rate = done.load(Ordering::Relaxed) * 1000 / u64::try_from(begin.elapsed().as_millis())?;
    let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or_default();
    let (ours, theirs) = (cpu(std::process::id()), postgres.server.pid().map_or(0.0, cpu));
    let each = |seconds: f64| seconds * 1e6 / f64::from(u32::try_from(waits.len()).unwrap_or(u32::MAX));
    println!("{:.0} us of CPU per task here (with the load), {:.0} us in Postgres", each(ours), each(theirs));
    println!("{rate} tasks/s, {callers} callers; wait p50 {:?}, p99 {:?}", at(50), at(99));
    engine.stop().await;
    Ok(())
}
