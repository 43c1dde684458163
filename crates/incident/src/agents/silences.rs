//! Silences: the gateway's side. Here they are made and ended by people, and told to monitoring whole, each time. Whether an incident is
//! muted is monitoring's to decide.

use chrono::{DateTime, Utc};

use crate::agent::{Decision, Entity, Locator, Outgoing};
use crate::agents::gateway::Kept;
use crate::fact::What;
use crate::id::{IncidentId, SilenceId, TenantId};
use crate::silence::{SILENCES_MAX, SilenceOrder, Silences};

/// Each tenant's silences are one entity.
pub(crate) const SILENCES: &str = "silences";

type Outcome = Decision<Kept, crate::task::TaskEvent>;

/// Where they are.
pub(crate) fn locator() -> Locator {
    Locator::Id(SILENCES.to_owned())
}

/// What becomes of the silences.
pub(crate) fn decide(known: Option<Silences>, tenant: TenantId, order: SilenceOrder, now: DateTime<Utc>) -> Outcome {
    let mut silences = known.unwrap_or_default();
    let mut facts = vec![];
    match order {
        SilenceOrder::Put(all) => {
            for silence in all.into_iter().take(SILENCES_MAX) {
                let is_known = silences.get(&silence.id).is_some_and(|known| *known == silence);
                if !is_known && silences.put(silence.clone(), now) {
                    facts.extend(recorded(&silence.id, What::SilenceMade { silence: Box::new(silence.clone()) }));
                }
            }
        }
        SilenceOrder::Expire { id, by } => {
            if let Some(silence) = silences.all.iter_mut().find(|silence| silence.id == id && silence.ends_at > now) {
                silence.ends_at = now;
                silence.starts_at = silence.starts_at.min(now);
                facts.extend(recorded(&id, What::SilenceExpired { silence: id.clone(), by }));
            }
        }
    }
    if facts.is_empty() {
        return Decision::unchanged("no silence is made or ended by this");
    }
    silences.number += 1;
    let outgoing = vec![Outgoing::Silences { tenant, silences: silences.clone() }];
    let entity = Entity { id: SILENCES.to_owned(), open_key: None, state: Kept::Silences { silences } };
    Decision { outgoing, facts, ..Decision::put(entity, "the silences are as somebody wants them") }
}

/// A silence's own record stands under its id, as an incident's does.
fn recorded(id: &SilenceId, what: What) -> Option<(IncidentId, What)> {
    Some((id.as_str().parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silence::{Silence, Source};

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).unwrap()
    }

    fn silence(id: &str, ends_s: i64) -> Silence {
        Silence {
            id: id.parse().unwrap(),
            owner: "ana".parse().unwrap(),
            reason: "known".to_owned(),
            matchers: vec!["service=\"checkout\"".parse().unwrap()],
            starts_at: at(0),
            ends_at: at(ends_s),
            source: Source::Paramedic,
        }
    }

    #[test]
    fn each_change_is_told_whole_and_recorded_once() {
        let expire = |id: &str| SilenceOrder::Expire { id: id.parse().unwrap(), by: "ben".parse().unwrap() };
        let put = |of: &[(&str, i64)]| SilenceOrder::Put(of.iter().map(|(id, ends_s)| silence(id, *ends_s)).collect());
        let mut known: Option<Silences> = None;
        for (order, now_s, number, facts, lasting) in [
            (put(&[("sil_1", 100)]), 0, 1, 1, vec!["sil_1"]),
            (put(&[("sil_1", 100)]), 0, 1, 0, vec!["sil_1"]),
            (put(&[("sil_1", 200), ("sil_2", 300)]), 1, 2, 2, vec!["sil_1", "sil_2"]),
            (expire("sil_none"), 2, 2, 0, vec!["sil_1", "sil_2"]),
            (expire("sil_1"), 50, 3, 1, vec!["sil_2"]),
            (expire("sil_1"), 60, 3, 0, vec!["sil_2"]),
        ] {
            let decision = decide(known.clone(), "acme".parse().unwrap(), order, at(now_s));
            assert_eq!((decision.facts.len(), decision.outgoing.len()), (facts, usize::from(facts > 0)), "{number}");
            if let Some(Entity { state: Kept::Silences { silences }, .. }) = decision.next {
                known = Some(silences);
            }
            let silences = known.clone().unwrap();
            let active = silences.all.iter().filter(|silence| silence.is_active(at(now_s))).map(|silence| silence.id.as_str());
            assert_eq!((silences.number, active.collect::<Vec<_>>()), (number, lasting));
        }
    }
}
