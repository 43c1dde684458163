//! `paramedic a2a …`.

use std::path::PathBuf;

use ::a2a::TaskState;
use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::Output;

/// Which agent, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct A2aClient {
    /// The agent: where its card is (`https://paramedic.example/a2a/diagnostics`), or on NATS (`nats://host:4222/a2a.TENANT.AGENT`).
    pub(crate) agent: String,
    /// Bearer token; on NATS the password of the sender's user.
    #[arg(long, env = "PARAMEDIC_A2A_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// As whom, on NATS: the client's name in the tenant's configuration. Over HTTP the token says it.
    #[arg(long, default_value = "paramedic-cli")]
    pub(crate) sender: String,
    /// Over HTTP: which of the card's interfaces; without it, the first that is known here.
    #[arg(long, value_enum)]
    pub(crate) binding: Option<A2aBinding>,
    /// URI of an extension that we understand; may be given more than once.
    #[arg(long)]
    pub(crate) extension: Vec<String>,
    /// Over HTTP: send the token also to this scheme, host and port (`https://HOST:PORT`), if the agent's card names it. The card's own
    /// host is allowed, with TLS if the card came so. May be given more than once.
    #[arg(long, value_name = "URL")]
    pub(crate) token_to: Vec<Url>,
    /// Take the agent for what its card says only if the card is signed by this key: the key's id, and the file of the public key in PEM
    /// (P-256). May be given more than once; one good signature is enough.
    #[arg(long, value_name = "KID=FILE", value_parser = card_key)]
    pub(crate) card_key: Vec<CardKey>,
    /// How results are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// A public key that cards are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CardKey {
    /// Its id, which signatures name.
    pub(crate) kid: String,
    /// Where it is.
    pub(crate) file: PathBuf,
}

/// Bindings over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum A2aBinding {
    /// JSON-RPC 2.0.
    Jsonrpc,
    /// HTTP with JSON.
    Http,
    /// gRPC.
    Grpc,
}

impl A2aBinding {
    /// The same as the client names it.
    pub(crate) const fn http(self) -> a2a_http::Binding {
        match self {
            Self::Jsonrpc => a2a_http::Binding::JsonRpc,
            Self::Http => a2a_http::Binding::HttpJson,
            Self::Grpc => a2a_http::Binding::Grpc,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum A2aCommand {
    /// Show what an agent says of itself, and with --card-key by whose key that is signed.
    Card {
        #[command(flatten)]
        client: A2aClient,
        /// The card for authenticated callers, if the agent has one.
        #[arg(long)]
        extended: bool,
    },
    /// Send a message: begin a task, or go on with one. Waits until the task ends, or waits for somebody.
    ///
    /// An agent may answer before the task ends; ours does after 50 seconds. Then it is asked again and again how the task stands.
    ///
    /// Ends with code 0 if the task completed, if it waits for somebody (the state is INPUT_REQUIRED or AUTH_REQUIRED), if the answer is
    /// a message, or with --no-wait if the message was taken; with 1 if the task failed or was rejected or canceled, or if the agent
    /// refused or could not be reached; with 2 if the command makes no sense.
    Send {
        #[command(flatten)]
        client: A2aClient,
        #[command(flatten)]
        send: A2aSend,
    },
    /// Show how a task stands.
    Get {
        #[command(flatten)]
        client: A2aClient,
        /// The task.
        id: String,
        /// How many of its messages; without it, all that the agent gives.
        #[arg(long)]
        history: Option<u32>,
    },
    /// List our tasks, newest status first.
    List {
        #[command(flatten)]
        client: A2aClient,
        /// Only those of this context.
        #[arg(long)]
        context: Option<String>,
        /// Only those in this state, such as working or completed.
        #[arg(long, value_parser = task_state)]
        status: Option<TaskState>,
        /// All of them, not just the first page.
        #[arg(long)]
        all: bool,
        /// Tasks of a page, 1 to 100.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Take a task back.
    Cancel {
        #[command(flatten)]
        client: A2aClient,
        /// The task.
        id: String,
    },
    /// Follow a task until it ends: a line for each thing that happens, with --output json a JSON object each.
    ///
    /// Ends with code 0 if the task completed, with 1 if it failed or was rejected or canceled, or if the stream broke.
    Watch {
        #[command(flatten)]
        client: A2aClient,
        /// The task.
        id: String,
    },
    /// Serve the agent that conformance kits test: on JSON-RPC, HTTP+JSON, gRPC and NATS, open to everybody. For tests only.
    ConformanceAgent(ConformanceAgent),
}

/// What is sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct A2aSend {
    /// Text for the agent.
    pub(crate) text: Option<String>,
    /// JSON for the agent: as it stands, @FILE, or - for standard input.
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// JSON object of metadata, keyed by extension URI or name: as it stands, @FILE, or -.
    #[arg(long)]
    pub(crate) metadata: Option<String>,
    /// Go on with this task.
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// In this context.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The message's id: sent again with the same one, it is the same message. Drawn at random unless given.
    #[arg(long)]
    pub(crate) message_id: Option<String>,
    /// Do not wait: show the task as it begins.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) no_wait: bool,
    /// Tell what happens meanwhile: a line for each thing.
    #[arg(long)]
    pub(crate) stream: bool,
}

/// The agent for conformance tests.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConformanceAgent {
    /// Where it listens for JSON-RPC, HTTP+JSON and gRPC.
    #[arg(long, default_value = "127.0.0.1:9999")]
    pub(crate) listen: std::net::SocketAddr,
    /// Allow --listen with an address that others reach. All of them may call the agent, and have it post anywhere.
    #[arg(long)]
    pub(crate) expose: bool,
    /// Where clients reach it, for its card; without it, where it listens.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<Url>,
    /// Folder for its private servers' data.
    #[arg(long, default_value = ".paramedic/conformance")]
    pub(crate) home: PathBuf,
    /// A NATS server to use instead of a private one.
    #[arg(long, env = "NATS_URL")]
    pub(crate) nats_url: Option<String>,
    /// An administrator's address of a Postgres database to use instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
}

fn card_key(text: &str) -> Result<CardKey, String> {
    match text.split_once('=') {
        Some((kid, file)) if !kid.is_empty() && !file.is_empty() => Ok(CardKey { kid: kid.to_owned(), file: file.into() }),
        _ => Err("give the key's id and its file, as KID=FILE".to_owned()),
    }
}

fn task_state(text: &str) -> Result<TaskState, String> {
    let name = format!("TASK_STATE_{}", text.to_uppercase().replace('-', "_"));
    let all = TaskState::ALL.iter().copied();
    all.clone().find(|state| state.as_str() == name).ok_or_else(|| {
        let plain = |state: TaskState| state.as_str().trim_start_matches("TASK_STATE_").to_lowercase().replace('_', "-");
        format!("no state; states are: {}", all.map(plain).collect::<Vec<_>>().join(", "))
    })
}
