//! Arguments of what people want of incidents: `paramedic incident ack` and the like.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum OrderVerb {
    /// Say that you look at it: nobody else is reminded until that runs out.
    #[command(visible_alias = "acknowledge")]
    Ack {
        #[command(flatten)]
        of: Of,
        /// For how long; you are reminded when a quarter of it is left.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=1440))]
        minutes: u32,
    },
    /// Take the acknowledgement back, yours or somebody else's.
    Unack {
        #[command(flatten)]
        of: Of,
    },
    /// Take it, or give it to somebody: they answer for it until it is over.
    Own {
        #[command(flatten)]
        of: Of,
        /// Whom to give it to; without it, you.
        #[arg(long)]
        to: Option<String>,
    },
    /// Give it up: nobody owns it.
    Release {
        #[command(flatten)]
        of: Of,
    },
    /// Add a sentence to its record and its thread.
    Note {
        #[command(flatten)]
        of: Of,
        /// What is to be remembered.
        text: String,
    },
    /// Say that it is over. While its alerts fire you are asked whether you mean it.
    Resolve {
        #[command(flatten)]
        of: Of,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Mean it while its alerts fire: it is held until one fires anew, or for four hours.
        #[arg(long)]
        while_firing: bool,
    },
    /// Make it one with another: its alerts, and what comes under its key for 90 days, belong there.
    Merge {
        #[command(flatten)]
        of: Of,
        /// The one that goes on.
        #[arg(long)]
        into: String,
    },
    /// Attach some of its alerts to another incident, now and for 90 days.
    Attach {
        #[command(flatten)]
        of: Of,
        /// Alerts of it, by name or fingerprint.
        #[arg(required = true)]
        alerts: Vec<String>,
        /// Where they belong.
        #[arg(long)]
        to: String,
    },
    /// Make some of its alerts an incident of their own, now and for 90 days.
    Split {
        #[command(flatten)]
        of: Of,
        /// Alerts of it, by name or fingerprint.
        #[arg(required = true)]
        alerts: Vec<String>,
    },
    /// Let it stand for itself: it is part of no other whatever the topology says, and what was merged into it is not any more. With alerts,
    /// the same as split.
    Detach {
        #[command(flatten)]
        of: Of,
        /// Alerts of it, by name or fingerprint.
        alerts: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Such as inc_0123456789abcdef.
    pub(crate) id: String,
    /// A name for this order: given again with the same name it is given once. Without it, each is another.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
}
