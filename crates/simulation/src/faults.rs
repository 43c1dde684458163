//! What may go wrong by chance, where, and how often: a profile is a kind of bad day.

use crate::choices::Odds;

/// Places where a run may leave the undisturbed course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Something takes longer, and so comes after what was sent later.
    Delay,
    /// A process dies before its next step.
    Crash,
    /// A process stands still before its next step, and goes on later as if nothing had been.
    Freeze,
    /// A replica's clock is wrong.
    Skew,
    /// The bus hands a message to another replica than the one whose turn it is.
    OtherReplica,
    /// An acknowledgement does not arrive: the bus delivers again.
    AckLost,
    /// A process dies between the dead letter and the end of the message.
    BuriedTwice,
    /// The bus stores a message, and its sender is not told.
    PublishUnconfirmed,
    /// The bus does not take a message.
    PublishRefused,
    /// The store does not answer; nothing is written.
    StoreAway,
    /// The store commits, and the process is not told.
    CommitUnconfirmed,
    /// A provider answers with an error; nothing is done.
    ProviderRefuses,
    /// A provider takes its time.
    ProviderSlow,
    /// A provider does nothing and answers nothing.
    ProviderSilent,
    /// A provider does it, and the answer is lost.
    AnswerLost,
    /// Alertmanager is not answered, and sends again what was accepted.
    WebhookTwice,
    /// The gateway does not accept; Alertmanager sends again.
    WebhookRefused,
}

impl Site {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Delay,
        Self::Crash,
        Self::Freeze,
        Self::Skew,
        Self::OtherReplica,
        Self::AckLost,
        Self::BuriedTwice,
        Self::PublishUnconfirmed,
        Self::PublishRefused,
        Self::StoreAway,
        Self::CommitUnconfirmed,
        Self::ProviderRefuses,
        Self::ProviderSlow,
        Self::ProviderSilent,
        Self::AnswerLost,
        Self::WebhookTwice,
        Self::WebhookRefused,
    ];

    /// For people who read a schedule.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delay => "takes longer",
            Self::Crash => "process dies before",
            Self::Freeze => "process stands still before",
            Self::Skew => "clock is wrong",
            Self::OtherReplica => "goes to the other replica",
            Self::AckLost => "acknowledgement is lost",
            Self::BuriedTwice => "dies after the dead letter",
            Self::PublishUnconfirmed => "is published, unconfirmed",
            Self::PublishRefused => "is not taken by the bus",
            Self::StoreAway => "store does not answer",
            Self::CommitUnconfirmed => "is committed, unconfirmed",
            Self::ProviderRefuses => "provider refuses",
            Self::ProviderSlow => "provider takes its time",
            Self::ProviderSilent => "provider never answers",
            Self::AnswerLost => "provider's answer is lost",
            Self::WebhookTwice => "webhook's answer is lost",
            Self::WebhookRefused => "webhook is refused",
        }
    }
}

/// A kind of bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// How often what goes wrong, in 100,000; what is not listed does not.
    odds: &'static [(Site, u32)],
}

impl Profile {
    /// How often this goes wrong.
    pub fn odds(&self, site: Site) -> Odds {
        Odds(self.odds.iter().find(|(listed, _)| *listed == site).map_or(0, |(_, odds)| *odds))
    }

    /// The profile of this name.
    pub fn named(name: &str) -> Option<Self> {
        PROFILES.into_iter().chain([UNDISTURBED]).find(|profile| profile.name == name)
    }
}

/// Nothing goes wrong but what the scenario says.
pub const UNDISTURBED: Profile = Profile { name: "undisturbed", odds: &[] };

/// The bad days that seeds pick from.
pub const PROFILES: [Profile; 5] = [
    Profile {
        name: "disorder",
        odds: &[
            (Site::Delay, 20_000),
            (Site::Skew, 60_000),
            (Site::OtherReplica, 30_000),
            (Site::AckLost, 3_000),
            (Site::PublishUnconfirmed, 3_000),
            (Site::WebhookTwice, 30_000),
            (Site::WebhookRefused, 10_000),
        ],
    },
    Profile {
        name: "deaths",
        odds: &[
            (Site::Delay, 5_000),
            (Site::OtherReplica, 30_000),
            (Site::Crash, 1_000),
            (Site::BuriedTwice, 20_000),
            (Site::AckLost, 1_000),
        ],
    },
    Profile {
        name: "sleep",
        odds: &[(Site::Delay, 5_000), (Site::Skew, 60_000), (Site::OtherReplica, 30_000), (Site::Freeze, 2_500)],
    },
    Profile {
        name: "providers",
        odds: &[
            (Site::Delay, 5_000),
            (Site::Crash, 200),
            (Site::ProviderRefuses, 10_000),
            (Site::ProviderSlow, 10_000),
            (Site::ProviderSilent, 5_000),
            (Site::AnswerLost, 10_000),
        ],
    },
    Profile {
        name: "everything",
        odds: &[
            (Site::Delay, 10_000),
            (Site::Crash, 400),
            (Site::Freeze, 400),
            (Site::Skew, 60_000),
            (Site::OtherReplica, 20_000),
            (Site::AckLost, 1_000),
            (Site::BuriedTwice, 5_000),
            (Site::PublishUnconfirmed, 1_000),
            (Site::PublishRefused, 1_000),
            (Site::StoreAway, 1_000),
            (Site::CommitUnconfirmed, 1_000),
            (Site::ProviderRefuses, 4_000),
            (Site::ProviderSlow, 4_000),
            (Site::ProviderSilent, 2_000),
            (Site::AnswerLost, 4_000),
            (Site::WebhookTwice, 10_000),
            (Site::WebhookRefused, 10_000),
        ],
    },
];
