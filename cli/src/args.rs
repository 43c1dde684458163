//! The command line.

mod a2a;
mod order;
mod silence;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use incident::task::Role;

pub(crate) use self::a2a::{A2aBinding, A2aClient, A2aCommand, A2aSend, CardKey, ConformanceAgent};
pub(crate) use self::order::{Of as OrderOf, OrderVerb};
pub(crate) use self::silence::{SilenceAdd, SilenceCommand};

/// From a firing alert to an approved, verified fix.
///
/// Start with `paramedic up`: everything on this machine, with private NATS and Postgres.
#[derive(Debug, Parser)]
#[command(name = "paramedic", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where a running gateway is, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The gateway; without it, the one that `paramedic up` started in this folder.
    #[arg(long, env = "PARAMEDIC_URL", global = true)]
    pub(crate) url: Option<String>,
    /// Your personal token; without it, the one that `paramedic up` made for you.
    #[arg(long, env = "PARAMEDIC_TOKEN", hide_env_values = true, global = true)]
    pub(crate) token: Option<String>,
    /// Folder of `paramedic up`, where its address and your token are looked up.
    #[arg(long, default_value = ".paramedic", global = true)]
    pub(crate) home: PathBuf,
    /// How results are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text, global = true)]
    pub(crate) output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine; Ctrl-C stops what it started and nothing else.
    Up(Up),
    /// Break a sample shop on a real Kubernetes API and watch it being repaired.
    Demo(Demo),
    /// Run one role, as a deployment does.
    Run {
        /// gateway, monitoring, diagnostics, communication, remediation, connectors or ledger.
        role: Role,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Create or update the database schemas, the NATS streams and their consumers.
    Migrate {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write the JSON Schemas of messages, policies, runbooks and watch rules.
    Schemas {
        /// Folder to write to.
        #[arg(default_value = "schemas")]
        folder: PathBuf,
    },
    /// Check runbooks.
    Runbook {
        #[command(subcommand)]
        command: RunbookCommand,
    },
    /// Check watch rules, and try them on recorded metrics.
    Watch {
        #[command(subcommand)]
        command: WatchCommand,
    },
    /// List and read incidents.
    Incident {
        #[command(subcommand)]
        command: IncidentCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// Say what you want to hear nothing of for a while.
    Silence {
        #[command(subcommand)]
        command: SilenceCommand,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the plans that wait for an answer, or show one in full.
    Approvals {
        /// Such as apr_0123456789abcdef.
        id: Option<String>,
        /// Go on where a long listing ended: what it printed after "more".
        #[arg(long, conflicts_with = "id")]
        after: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Say yes to exactly the plan that `paramedic approvals ID` shows.
    Approve {
        /// Such as apr_0123456789abcdef.
        id: String,
        /// Say yes only if the plan has this digest (or begins with it).
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Say no to a plan.
    Reject {
        /// Such as apr_0123456789abcdef.
        id: String,
        /// Why; it goes into the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Verify or export the audit chain.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Look at messages that could not be handled, and send them again.
    Dead {
        #[command(subcommand)]
        command: DeadCommand,
        #[command(flatten)]
        config: ConfigFile,
        /// How results are printed.
        #[arg(long, short, value_enum, default_value_t = Output::Text, global = true)]
        output: Output,
    },
    /// Talk to any A2A agent, or serve the one for conformance tests.
    #[command(name = "a2a")]
    A2a {
        #[command(subcommand)]
        command: A2aCommand,
    },
    /// Print the NATS server's user section, one user per role with just the subjects it needs.
    NatsUsers {
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, env = "PARAMEDIC_CONFIG", default_value = ".paramedic/paramedic.toml", global = true)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// Folder for configuration, data and logs; a second start goes on with them.
    #[arg(long, default_value = ".paramedic")]
    pub(crate) home: PathBuf,
    /// Where the gateway listens; 127.0.0.1:8080 unless the configuration says otherwise.
    #[arg(long)]
    pub(crate) listen: Option<std::net::SocketAddr>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) up: Up,
    /// Approve the plan without asking, and end with code 0 only if the approved rollback resolved the incident.
    #[arg(long)]
    pub(crate) approve: bool,
    /// Use this context of your kubeconfig instead of a private control plane. The shop is deployed there.
    #[arg(long)]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration and print it as it is in force, without secrets.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print the public key of gateway.signing_key, for remediation.gateway_public_key.
    PublicKey {
        #[command(flatten)]
        config: ConfigFile,
        /// That of gateway.a2a.signing instead, in PEM, for those who check what our agents sign.
        #[arg(long)]
        a2a: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunbookCommand {
    /// Check files, or all files of folders.
    Check {
        /// Files or folders.
        #[arg(default_value = "runbooks")]
        paths: Vec<PathBuf>,
        /// How results are printed.
        #[arg(long, short, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum WatchCommand {
    /// Check files, or all files of folders.
    Check {
        /// Files or folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// How results are printed.
        #[arg(long, short, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Play a rule over recorded series: when it would have fired, and when that would have ended.
    Test(WatchTest),
}

#[derive(Debug, Args)]
pub(crate) struct WatchTest {
    /// The file with the rule.
    pub(crate) file: PathBuf,
    /// Recorded series, as Prometheus answers /api/v1/query_range for the rule's expression; for a seasonal rule, of four weeks or more.
    #[arg(long)]
    pub(crate) series: PathBuf,
    /// Which rule, if the file has more than one.
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Seconds from one look to the next; without it, as far apart as the points are.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub(crate) interval_s: Option<u32>,
    /// How results are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Newest first.
    List {
        /// Only those that are not over.
        #[arg(long)]
        open: bool,
        /// Go on where a long listing ended: what it printed after "more".
        #[arg(long)]
        after: Option<String>,
    },
    /// How one stands.
    Show {
        /// Such as inc_0123456789abcdef.
        id: String,
    },
    /// All that happened in one.
    Timeline {
        /// Such as inc_0123456789abcdef.
        id: String,
        /// Only what comes after this place in the record, such as 42.
        #[arg(long)]
        after: Option<u64>,
    },
    #[command(flatten)]
    Order(OrderVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every record of a tenant's chain, from the database or from an exported file.
    Verify {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose.
        #[arg(long, default_value = "local")]
        tenant: String,
        /// An exported file, to verify offline.
        #[arg(long, conflicts_with = "tenant")]
        file: Option<PathBuf>,
        /// The last hash that the file must have: a file that was cut off at its end shows in nothing else.
        #[arg(long, requires = "file")]
        head: Option<String>,
        /// How results are printed.
        #[arg(long, short, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Write a tenant's chain as JSON lines.
    Export {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose.
        #[arg(long, default_value = "local")]
        tenant: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// Newest last.
    List {
        /// Only what comes after this number: go on where a long listing ended.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// One, with why it died, what it said, and what to do about it.
    Show {
        /// Its number in the list.
        number: u64,
        /// All of what it said, however long that is.
        #[arg(long)]
        whole: bool,
    },
    /// Send one again to where it was going.
    Replay {
        /// Its number in the list.
        number: u64,
    },
    /// Drop one for good.
    Drop {
        /// Its number in the list.
        number: u64,
    },
}
