//! Arguments of `paramedic silence`.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use url::Url;

#[derive(Debug, Subcommand)]
pub(crate) enum SilenceCommand {
    /// Keep incidents, but tell nobody of them, while all of their alerts satisfy these matchers.
    Add(SilenceAdd),
    /// Those that are not over, the first to end first.
    List {
        /// Those that ended in the last days, too.
        #[arg(long)]
        all: bool,
    },
    /// One, whole.
    Show {
        /// Such as sil_0123456789abcdef.
        id: String,
    },
    /// End one now: what still fires is told at once.
    Expire {
        /// Such as sil_0123456789abcdef.
        id: String,
    },
    /// What a silence with these matchers would have muted lately.
    Preview {
        /// Alertmanager's matchers, such as service="checkout".
        #[arg(required = true)]
        matchers: Vec<String>,
        /// How far to look back.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
        hours: u32,
    },
    /// Take over the silences of an Alertmanager; nothing is changed there.
    Import {
        /// Its address, such as http://alertmanager:9093.
        #[arg(long)]
        from: Url,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SilenceAdd {
    /// Alertmanager's matchers, such as service="checkout"; at least one must ask for one value of a label other than severity and
    /// alertname.
    #[arg(required = true)]
    pub(crate) matchers: Vec<String>,
    /// Why; whoever wonders reads it.
    #[arg(long)]
    pub(crate) reason: String,
    /// How long, such as 90m, 2h or 3d; at most 30 days.
    #[arg(long = "for", value_parser = lasting, required_unless_present = "until", conflicts_with = "until")]
    pub(crate) lasts: Option<TimeDelta>,
    /// Until when, such as 2026-12-24T08:00:00Z.
    #[arg(long)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// From when on, instead of now.
    #[arg(long)]
    pub(crate) from: Option<DateTime<Utc>>,
}

/// A length of time as people say it.
fn lasting(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "must be a number of minutes, hours or days, such as 90m, 2h or 3d".to_owned();
    let at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    TimeDelta::try_minutes(i64::from(number) * minutes).filter(|lasts| *lasts > TimeDelta::zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_say_them() {
        for (text, minutes) in [("90m", Some(90)), ("2h", Some(120)), ("3d", Some(4_320)), ("0m", None), ("3", None), ("m", None)]
        {
            assert_eq!(lasting(text).ok().map(|lasts| lasts.num_minutes()), minutes, "{text}");
        }
        for bad in ["", "3w", "-1h", "1.5h", "3é"] {
            assert!(lasting(bad).is_err(), "{bad}");
        }
    }
}
