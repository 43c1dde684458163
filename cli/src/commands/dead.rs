//! `paramedic dead list|show|replay|drop`.

mod letter;

use std::path::Path;

use bus::Bus;
use bus::dead::{self, DeadLetter};
use serde_json::json;

use letter::{Letter, Shown};

use super::listing::Listing;
use crate::args::{DeadCommand, Output};
use crate::migrate::admin;
use crate::output::{show, table};
use crate::program;
use crate::running::Server;

/// Reasons in a listing; `show` has them whole.
const REASON_CHARS_MAX: usize = 80;
/// Pages that one listing reads, of [`dead::PAGE_MAX`] letters: each letter is asked for by itself, so this is some seconds.
const PAGES_MAX: usize = 10;

pub(crate) async fn run(command: DeadCommand, config: &Path, output: Output) -> anyhow::Result<()> {
    let admin = admin(&crate::running::config(config, &[Server::Nats])?).await?;
    match command {
        DeadCommand::List { after } => {
            let command = format!("{} dead list{}", program::name(), program::config_flag(config));
            show(output, &all(&admin, after).await?, |letters| letters.told(&command, listing))
        }
        DeadCommand::Show { number, whole } => {
            let shown = if whole { Shown::All } else { Shown::Beginning };
            let letter = dead::show(&admin, number).await?;
            let letter = Letter::new(letter, shown, &program::name(), &program::config_flag(config));
            show(output, &letter, Letter::told)
        }
        DeadCommand::Replay { number } => {
            let id = dead::replay(&admin, number).await?;
            show(output, &json!({ "replayed": number, "id": id }), |_| format!("Sent again, as {id}."))
        }
        DeadCommand::Drop { number } => {
            dead::drop(&admin, number).await?;
            show(output, &json!({ "dropped": number }), |_| "Dropped.".to_owned())
        }
    }
}

/// Letters after number `after`, page after page.
async fn all(admin: &Bus, after: u64) -> anyhow::Result<Listing<DeadLetter>> {
    let (mut items, mut from) = (Vec::new(), after.saturating_add(1));
    for _ in 0..PAGES_MAX {
        let page = dead::list(admin, from, dead::PAGE_MAX).await?;
        items.extend(page.letters);
        let Some(next) = page.next else { return Ok(Listing { items, next: None }) };
        from = next;
    }
    Ok(Listing { items, next: Some(from.saturating_sub(1).to_string()) })
}

fn listing(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return "No dead letters.".to_owned();
    }
    let row = |l: &DeadLetter| {
        let reason = l.reason.chars().take(REASON_CHARS_MAX).collect();
        vec![
            l.sequence.to_string(),
            l.role.to_string(),
            l.died_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            l.subject.clone(),
            reason,
        ]
    };
    table(&["NUMBER", "ROLE", "DIED (UTC)", "SUBJECT", "REASON"], &letters.iter().map(row).collect::<Vec<_>>())
}
