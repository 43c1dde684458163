use std::collections::BTreeSet;

use anyhow::Result;
use async_nats::{Client, ConnectOptions, Event};
use bus::User;
use incident::task::Role;
use tokio::sync::mpsc;

use crate::stage::{DEADLINE, Stage, password, stage};

/// A client of a role that does what it likes, and hears what the server thinks of it.
struct Rogue {
    client: Client,
    complaints: mpsc::UnboundedReceiver<String>,
}

impl Rogue {
    async fn connect(stage: &Stage, role: Role) -> Result<Self> {
        let (sender, complaints) = mpsc::unbounded_channel();
        let options = ConnectOptions::with_user_and_password(role.to_string(), password(User::Role(role)))
            .custom_inbox_prefix(User::Role(role).inbox_prefix())
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    sender.send(error.to_string()).ok();
                }
                std::future::ready(())
            });
        Ok(Self { client: options.connect(stage.nats.url()).await?, complaints })
    }

    /// The subjects among `tried` that the server refused. A last forbidden subject marks the end.
    async fn refused<'a>(&mut self, tried: &[&'a str], end: &str) -> Result<BTreeSet<&'a str>> {
        let mut refused = BTreeSet::new();
        loop {
            let complaint = tokio::time::timeout(DEADLINE, self.complaints.recv()).await?.unwrap_or_default();
            if complaint.contains(end) {
                return Ok(refused);
            }
            let about = tried.iter().filter(|subject| complaint.contains(&format!("\"{subject}\"")));
            refused.extend(about);
        }
    }

    async fn publishes(&mut self, subjects: &[&'static str]) -> Result<BTreeSet<&'static str>> {
        for subject in subjects {
            self.client.publish(*subject, "forged".into()).await?;
        }
        self.client.publish("the.end", "".into()).await?;
        self.client.flush().await?;
        let refused = self.refused(subjects, "the.end").await?;
        Ok(subjects.iter().copied().filter(|subject| !refused.contains(subject)).collect())
    }

    async fn subscribes(&mut self, subjects: &[&'static str]) -> Result<BTreeSet<&'static str>> {
        let mut kept = Vec::new();
        for subject in subjects.iter().copied().chain(["the.end"]) {
            kept.push(self.client.subscribe(subject).await?);
        }
        self.client.flush().await?;
        let refused = self.refused(subjects, "the.end").await?;
        Ok(subjects.iter().copied().filter(|subject| !refused.contains(subject)).collect())
    }
}

const WORDS: [&str; 12] = [
    "alerts.acme.1",
    "a2a.acme.diagnostics.request",
    "a2a.acme.communication.request",
    "a2a.acme.remediation.request",
    "a2a.acme.monitoring.event",
    "a2a.acme.gateway.event",
    "approval.acme.apr_1.requested",
    "approval.acme.apr_1.closed",
    "approval.acme.apr_1.decided",
    "fact.acme.inc_1.opened",
    "dead.gateway",
    "dead.diagnostics",
];

/// What only the admin may do, each way of reading, changing or spying past one's own consumer.
const POWERS: [&str; 12] = [
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.UPDATE.ALERTS",
    "$JS.API.STREAM.DELETE.APPROVALS",
    "$JS.API.STREAM.PURGE.FACTS",
    "$JS.API.STREAM.MSG.GET.ALERTS",
    "$JS.API.STREAM.MSG.DELETE.FACTS",
    "$JS.API.DIRECT.GET.ALERTS",
    "$JS.API.CONSUMER.CREATE.ALERTS.spy",
    "$JS.API.CONSUMER.DURABLE.CREATE.APPROVALS.remediation",
    "$JS.API.CONSUMER.DELETE.ALERTS.monitoring",
    "$JS.API.CONSUMER.MSG.NEXT.DEAD.spy",
    "$SYS.REQ.SERVER.PING",
];

const TAKING: [(Role, &[&str]); 3] = [
    (
        Role::Monitoring,
        &[
            "$JS.API.CONSUMER.MSG.NEXT.ALERTS.monitoring",
            "$JS.API.CONSUMER.INFO.ALERTS.monitoring",
            "$JS.API.STREAM.PURGE.ALERTS",
            "$JS.ACK.ALERTS.monitoring.1.1.1.1763877600000000000.0",
            "$JS.ACK._.hash.ALERTS.monitoring.1.1.1.1763877600000000000.0",
        ],
    ),
    (
        Role::Diagnostics,
        &[
            "$JS.API.CONSUMER.MSG.NEXT.A2A.diagnostics",
            "$JS.API.CONSUMER.INFO.A2A.diagnostics",
            "$JS.ACK.A2A.diagnostics.1.1.1.1763877600000000000.0",
            "$JS.ACK._.hash.A2A.diagnostics.1.1.1.1763877600000000000.0",
        ],
    ),
    (
        Role::Remediation,
        &[
            "$JS.API.CONSUMER.MSG.NEXT.APPROVALS.remediation",
            "$JS.API.CONSUMER.INFO.APPROVALS.remediation",
            "$JS.ACK.APPROVALS.remediation.1.1.1.1763877600000000000.0",
            "$JS.ACK._.hash.APPROVALS.remediation.1.1.1.1763877600000000000.0",
        ],
    ),
];

fn words_of(role: Role) -> BTreeSet<&'static str> {
    let own: &[&str] = match role {
        Role::Gateway => &[
            "alerts.acme.1",
            "a2a.acme.diagnostics.request",
            "a2a.acme.communication.request",
            "a2a.acme.remediation.request",
            "approval.acme.apr_1.decided",
            "dead.gateway",
        ],
        Role::Monitoring => {
            &["alerts.acme.1", "a2a.acme.diagnostics.request", "a2a.acme.communication.request", "a2a.acme.remediation.request"]
        }
        Role::Diagnostics => &["a2a.acme.monitoring.event", "a2a.acme.gateway.event", "dead.diagnostics"],
        Role::Communication => &["a2a.acme.monitoring.event", "a2a.acme.gateway.event"],
        Role::Remediation => &[
            "a2a.acme.monitoring.event",
            "a2a.acme.gateway.event",
            "approval.acme.apr_1.requested",
            "approval.acme.apr_1.closed",
        ],
        Role::Connectors | Role::Ledger => &[],
    };
    own.iter().copied().chain(["fact.acme.inc_1.opened"]).collect()
}

#[tokio::test]
async fn each_role_says_only_its_own_words() -> Result<()> {
    let stage = stage().await?;
    for role in Role::ALL {
        let said = Rogue::connect(&stage, role).await?.publishes(&WORDS).await?;
        assert_eq!(said, words_of(role), "{role}");
    }
    // One vote, and it is the gateway's: what the others tried never reached the stream.
    let approvals = stage.stream("APPROVALS").await?;
    assert_eq!(approvals.state.messages, 3);
    Ok(())
}

#[tokio::test]
async fn no_role_has_the_admins_powers() -> Result<()> {
    let stage = stage().await?;
    for role in Role::ALL {
        let done = Rogue::connect(&stage, role).await?.publishes(&POWERS).await?;
        // Communication looks for alerts that nobody handles; looking takes none of them away.
        let may: &[&str] = if role == Role::Communication { &["$JS.API.DIRECT.GET.ALERTS"] } else { &[] };
        assert_eq!(done, may.iter().copied().collect(), "{role}");
    }
    Ok(())
}

#[tokio::test]
async fn each_role_takes_and_acknowledges_only_through_its_own_consumers() -> Result<()> {
    let stage = stage().await?;
    for role in Role::ALL {
        for (owner, subjects) in TAKING {
            let taken = Rogue::connect(&stage, role).await?.publishes(subjects).await?;
            let expected = if role == owner { subjects.iter().copied().collect() } else { BTreeSet::new() };
            assert_eq!(taken, expected, "{role} as {owner}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_role_hears_only_its_own_inbox() -> Result<()> {
    let stage = stage().await?;
    let all = [">", "alerts.>", "a2a.>", "approval.>", "fact.>", "_INBOX.>", "_INBOX_gateway.>", "_INBOX_ledger.>", "$JS.ACK.>"];
    for role in Role::ALL {
        let heard = Rogue::connect(&stage, role).await?.subscribes(&all).await?;
        let own = User::Role(role).inbox_prefix() + ".>";
        let expected: BTreeSet<&str> = all.iter().copied().filter(|subject| *subject == own).collect();
        assert_eq!(heard, expected, "{role}");
    }
    Ok(())
}
