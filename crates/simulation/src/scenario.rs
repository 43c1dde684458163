//! Scenarios: what happens on a day, and what must be so at its end. They are YAML files, and say nothing of the simulation, so that a
//! test on real parts can run them as well. `tests/scenarios/README.md` explains the format to who writes them.

mod orders;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use incident::agents::monitoring::Lifecycle;
use incident::task::Role;
pub use orders::Orders;
use serde::Deserialize;

/// A day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: that of its file.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// What tenants are configured with, where it matters.
    #[serde(default)]
    pub rules: Rules,
    /// What happens.
    pub happens: Vec<Happening>,
    /// What must be so at the end, whatever goes wrong besides.
    #[serde(default)]
    pub always: Expected,
    /// What must be so, too, if nothing goes wrong but what is written here.
    #[serde(default)]
    pub undisturbed: Expected,
}

/// Policy and runbook of all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How many people must say yes.
    pub approvers: u8,
    /// For how long a plan waits for them.
    pub expires_s: u32,
    /// After how long they are reminded.
    pub remind_s: u32,
    /// For how long all must look well.
    pub settle_s: u32,
    /// Within what time after the change.
    pub deadline_s: u32,
    /// After how long without it a heartbeat is silent; 0: none is listened for.
    pub heartbeat_s: u32,
    /// So many incidents opened within a minute are a storm; it is over after a minute with fewer.
    pub storm_opened: u32,
    /// Whether it is known that `web` depends on `checkout`, and `checkout` on `payments`.
    pub topology: bool,
    /// How long incidents are held, and when one is taken for flapping.
    pub lifecycle: Lifecycle,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            approvers: 1,
            expires_s: 300,
            remind_s: 100,
            settle_s: 3,
            deadline_s: 20,
            heartbeat_s: 0,
            storm_opened: 20,
            topology: false,
            lifecycle: Lifecycle::default(),
        }
    }
}

/// One thing that happens, perhaps several times.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "written::Written")]
pub struct Happening {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
    /// How often.
    pub times: u32,
    /// Time between.
    pub every_s: u32,
}

/// When something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// So long after the beginning.
    At {
        /// In seconds.
        s: u32,
    },
    /// So long after something that depends on the course of things.
    After {
        /// What.
        moment: Moment,
        /// In seconds.
        s: u32,
    },
}

/// Something that a happening can wait for; counted from 1 over the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The n-th plan waits for people.
    Asked(u32),
    /// A cluster was changed by Paramedic for the n-th time.
    Changed(u32),
}

/// A workload: `name` of the tenant `acme`, or `tenant/name`. All are Deployments in the namespace `shop`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Place {
    /// Whose.
    pub tenant: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Somebody releases a new revision.
    Release {
        /// Of what.
        workload: Place,
        /// Whether it breaks what the alerts watch.
        bad: bool,
    },
    /// Somebody changes the spec without a new revision.
    Edit {
        /// Of what.
        workload: Place,
    },
    /// It breaks, or works again, for a reason that is in no revision.
    Trouble {
        /// What.
        workload: Place,
        /// Whether it begins or ends.
        begins: bool,
    },
    /// Its rollouts are said to have failed.
    Stuck {
        /// Of what.
        workload: Place,
        /// For so long.
        for_s: u32,
    },
    /// Who looks at it sees the revision before the one that runs.
    Lags {
        /// What.
        workload: Place,
        /// For so long.
        for_s: u32,
    },
    /// Alertmanager tells of alerts.
    Fires(Fires),
    /// Alertmanager tells that they are over.
    Resolves(Fires),
    /// The heartbeat of every tenant reaches the gateway.
    Beats,
    /// A person silences a workload.
    Silences {
        /// Which.
        workload: Place,
        /// For so long.
        for_s: u32,
    },
    /// A person wants something of the incident about a workload.
    Orders(Orders),
    /// A person, or somebody who would like to be one, answers.
    Answers(Answers),
    /// Something that Paramedic rests on or talks to fails.
    Outage {
        /// Which.
        of: Provider,
        /// How.
        how: Trouble,
        /// For so long.
        for_s: u32,
    },
    /// No replica of a role runs.
    Away {
        /// Which.
        role: Role,
        /// For so long.
        for_s: u32,
    },
    /// From now on so many people must say yes.
    Approvers {
        /// How many.
        approvers: u8,
    },
}

/// Alerts of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fires {
    /// About what. While it is not well they fire; some seconds after it is well again Alertmanager says so.
    pub workload: Place,
    /// Name of the rule.
    pub alert: String,
    /// How many alerts, each with a label of its own.
    #[serde(default = "one")]
    pub count: u32,
    /// Labels besides the usual ones.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How much later Paramedic is told, in seconds.
    #[serde(default)]
    pub late_s: u32,
}

fn one() -> u32 {
    1
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// `ana`, `ben` (both may), `eve` (known, and may not), or anybody else.
    pub who: String,
    /// What.
    pub says: Says,
    /// How.
    #[serde(default)]
    pub how: How,
}

/// A person's answer to the newest plan, or to the one that the happening waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// As people do.
    #[default]
    Plainly,
    /// To another plan than the one that waits.
    WrongDigest,
    /// A vote that the gateway has signed, to another plan.
    OtherPlan,
    /// A vote past the gateway, signed by another key.
    Forged,
    /// A genuine vote, altered after it was signed.
    Altered,
    /// The newest genuine vote once more.
    Replayed,
}

/// What Paramedic rests on or talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The chat.
    Slack,
    /// The tracker.
    Jira,
    /// The clusters' API.
    Kubernetes,
    /// The metrics.
    Prometheus,
    /// The bus.
    Nats,
    /// The memory of all roles.
    Postgres,
}

impl Provider {
    /// Whether this is a way in which it can fail.
    pub const fn can_fail(self, how: Trouble) -> bool {
        let is_lost = matches!(how, Trouble::Silent | Trouble::LosesAnswers);
        match self {
            Self::Slack | Self::Jira => is_lost || matches!(how, Trouble::Refuses | Trouble::Slow | Trouble::Limits),
            Self::Kubernetes | Self::Prometheus => is_lost || matches!(how, Trouble::Refuses | Trouble::Slow),
            Self::Nats => matches!(how, Trouble::Dies | Trouble::Full),
            Self::Postgres => is_lost || matches!(how, Trouble::Dies),
        }
    }
}

/// How a part fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It answers with an error and does nothing.
    Refuses,
    /// It takes some seconds.
    Slow,
    /// It does nothing and answers nothing.
    Silent,
    /// It does what it is asked, and the answer is lost.
    LosesAnswers,
    /// It says that it is asked too often, and when to come again.
    Limits,
    /// Its process is killed, and started again when the time is over.
    Dies,
    /// It keeps and hands out what it has, and has no room for more.
    Full,
}

/// What must be so at the end. What is not named may be as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Incidents opened.
    pub incidents: Option<Bound>,
    /// How often incidents were closed.
    pub closed: Option<Bound>,
    /// How often they were opened again.
    pub reopened: Option<Bound>,
    /// Incidents that follow another of the same alerts.
    pub follow: Option<Bound>,
    /// How often an incident began to flap.
    pub flapping: Option<Bound>,
    /// Changes of severity.
    pub severity_changes: Option<Bound>,
    /// Diagnoses made.
    pub diagnoses: Option<Bound>,
    /// Plans proposed.
    pub plans: Option<Bound>,
    /// Answers counted.
    pub votes: Option<Bound>,
    /// Answers refused, as far as an incident is known for them.
    pub refused: Option<Bound>,
    /// Orders carried out, counted in each incident that they concern.
    pub orders: Option<Bound>,
    /// Orders refused.
    pub orders_refused: Option<Bound>,
    /// How often alerts left an incident by a person's word.
    pub moved: Option<Bound>,
    /// How often an acknowledgement ran out.
    pub unacknowledged: Option<Bound>,
    /// Reminders of plans.
    pub reminders: Option<Bound>,
    /// Changes of clusters.
    pub changes: Option<Bound>,
    /// Changes taken back.
    pub undone: Option<Bound>,
    /// Recoveries verified.
    pub recovered: Option<Bound>,
    /// Gaps named.
    pub gaps: Option<Bound>,
    /// Cards posted.
    pub cards: Option<Bound>,
    /// Lines posted under them.
    pub lines: Option<Bound>,
    /// Issues opened.
    pub issues: Option<Bound>,
    /// Dead letters.
    pub dead_letters: Option<Bound>,
}

/// A number, or its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "written::Bound")]
pub struct Bound {
    /// No fewer.
    pub at_least: u32,
    /// No more.
    pub at_most: u32,
}

/// A scenario that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("reading {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not as scenarios are.
    #[error("{} is no scenario (see the README beside it)", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_yaml_ng::Error,
    },
    /// It is called otherwise than its file.
    #[error("{} must be called like its file, not {name:?}", path.display())]
    Name {
        /// Which.
        path: PathBuf,
        /// What it says.
        name: String,
    },
    /// There is none.
    #[error("there is no scenario in {}", path.display())]
    None {
        /// Where.
        path: PathBuf,
    },
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// Where it is not a scenario, and why.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let file = |source| ScenarioError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        let scenario: Self =
            serde_yaml_ng::from_str(&text).map_err(|source| ScenarioError::Format { path: path.to_owned(), source })?;
        if path.file_stem().and_then(|stem| stem.to_str()) == Some(&scenario.name) {
            Ok(scenario)
        } else {
            Err(ScenarioError::Name { path: path.to_owned(), name: scenario.name })
        }
    }

    /// Reads all of a folder, by name.
    ///
    /// # Errors
    /// The first that is none, or that there is none at all.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, ScenarioError> {
        let file = |source| ScenarioError::File { path: folder.to_owned(), source };
        let entries: Result<Vec<PathBuf>, _> =
            std::fs::read_dir(folder).map_err(file)?.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut paths: Vec<PathBuf> = entries.map_err(file)?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        paths.sort();
        if paths.is_empty() {
            return Err(ScenarioError::None { path: folder.to_owned() });
        }
        paths.iter().map(|path| Self::read(path)).collect()
    }
}
