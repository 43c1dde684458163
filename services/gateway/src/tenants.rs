//! Who calls: tenants by their webhook tokens, people by their own tokens or their Slack user ids. Whoever is not known is nobody, and
//! nobody learns whether it was the name or the token that was wrong.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use incident::alert::Correlation;
use incident::approval::Directory;
use incident::id::{PersonId, TenantId};
use subtle::{Choice, ConditionallySelectable as _};

use crate::config::{Person, SlackEdge, TenantEdge, TokenDigest};
use crate::replies::is_loopback;

/// Ids of people whom nobody knows are made with this, for the record of refused answers; so nobody known may have such an id.
const STRANGER: &str = "slack-";

/// A configuration of tenants that would let the wrong ones in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantsError {
    /// An empty secret is one that everybody knows.
    #[error("tenant {tenant}: {field} must not be empty")]
    EmptySecret {
        /// Whose.
        tenant: TenantId,
        /// Which.
        field: &'static str,
    },
    /// Two people would be taken for each other.
    #[error("tenant {tenant}: two people have the same {field}; each must have their own")]
    Twice {
        /// Whose.
        tenant: TenantId,
        /// Which.
        field: &'static str,
    },
    /// Not the id of a person in Slack.
    #[error("tenant {tenant}: slack_user {user:?} must be a person's id such as U0123ABC; bots (B…) may not decide")]
    NoPerson {
        /// Whose.
        tenant: TenantId,
        /// The id.
        user: String,
    },
    /// What is posted there goes over the network, for all to read.
    #[error("tenant {tenant}: slack.interactions.replies_url must begin with https:// (http:// only to this machine)")]
    OpenReplies {
        /// Whose.
        tenant: TenantId,
    },
    /// Kept for strangers.
    #[error("tenant {tenant}: the id of {person} must not begin with {STRANGER:?}, which stands for people unknown")]
    Stranger {
        /// Whose.
        tenant: TenantId,
        /// Who.
        person: PersonId,
    },
}

/// One tenant, checked.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) correlation: Correlation,
    pub(crate) slack: Option<SlackEdge>,
    pub(crate) people: Vec<Person>,
    webhook: TokenDigest,
}

/// All tenants, checked and ready to be asked.
#[derive(Debug)]
pub struct Tenants {
    by_id: BTreeMap<TenantId, Tenant>,
    /// What a token is compared with where there is no tenant of that name.
    nobody: TokenDigest,
}

/// A person with a token of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) person: &'a Person,
}

impl Tenants {
    /// Checks the configuration of all tenants.
    ///
    /// # Errors
    /// The first thing in it that would let the wrong ones in.
    pub fn new(edges: BTreeMap<TenantId, TenantEdge>) -> Result<Self, TenantsError> {
        let mut tokens = BTreeSet::new();
        let mut by_id = BTreeMap::new();
        for (id, edge) in edges {
            check(&id, &edge, &mut tokens)?;
            let TenantEdge { webhook_token, correlation, slack, people } = edge;
            let webhook = TokenDigest::of(webhook_token.reveal());
            by_id.insert(id.clone(), Tenant { id, correlation, slack, people, webhook });
        }
        Ok(Self { by_id, nobody: TokenDigest::of("") })
    }

    /// Who is in which group, for each tenant: what answers are judged by.
    pub fn directories(&self) -> BTreeMap<TenantId, Directory> {
        let directory = |tenant: &Tenant| tenant.people.iter().map(|p| (p.id.clone(), p.groups.clone())).collect();
        self.by_id.iter().map(|(id, tenant)| (id.clone(), directory(tenant))).collect()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Tenant> {
        self.by_id.get(&name.parse::<TenantId>().ok()?)
    }

    /// The tenant of this name, if the caller has its token. Both ways of being wrong do the same work.
    pub(crate) fn webhook(&self, name: &str, headers: &HeaderMap) -> Option<&Tenant> {
        let tenant = self.named(name);
        let expected = tenant.map_or(&self.nobody, |tenant| &tenant.webhook);
        let given = TokenDigest::of(bearer(headers).unwrap_or_default());
        let is_right = bool::from(expected.matches(&given));
        tenant.filter(|_| is_right)
    }

    /// The person whose token the caller has. Looks at all people, so that the time does not tell whose it is.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller<'_>> {
        let given = TokenDigest::of(bearer(headers)?);
        let everybody = self.by_id.values().flat_map(|tenant| tenant.people.iter().map(move |person| Caller { tenant, person }));
        let (mut place, mut found) = (0_u32, Choice::from(0));
        for (n, caller) in (0_u32..).zip(everybody.clone()) {
            let is_theirs = caller.person.token_sha256.map_or(Choice::from(0), |digest| digest.matches(&given));
            place.conditional_assign(&n, is_theirs);
            found |= is_theirs;
        }
        let place = usize::try_from(place).ok()?;
        if bool::from(found) { everybody.clone().nth(place) } else { None }
    }
}

impl Tenant {
    /// Who a Slack user is. Somebody unknown gets an id that is in no directory: their answer is refused, and that is recorded.
    pub(crate) fn slack_person(&self, user: &str) -> Option<PersonId> {
        let known = self.people.iter().find(|person| person.slack_user.as_deref() == Some(user));
        known.map(|person| person.id.clone()).or_else(|| format!("{STRANGER}{user}").parse().ok())
    }
}

/// The bearer token (RFC 6750, section 2.1), unless there is none or more than one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn check(id: &TenantId, edge: &TenantEdge, tokens: &mut BTreeSet<String>) -> Result<(), TenantsError> {
    let empty = |field| Err(TenantsError::EmptySecret { tenant: id.clone(), field });
    let twice = |field| Err(TenantsError::Twice { tenant: id.clone(), field });
    if edge.webhook_token.reveal().is_empty() {
        return empty("webhook_token");
    }
    if edge.slack.as_ref().is_some_and(|slack| slack.signing_secret.reveal().is_empty()) {
        return empty("slack.signing_secret");
    }
    let is_closed = |url: &url::Url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    if edge.slack.as_ref().is_some_and(|slack| !is_closed(&slack.replies_url)) {
        return Err(TenantsError::OpenReplies { tenant: id.clone() });
    }
    let (mut ids, mut users) = (BTreeSet::new(), BTreeSet::new());
    for person in &edge.people {
        if person.id.as_str().starts_with(STRANGER) {
            return Err(TenantsError::Stranger { tenant: id.clone(), person: person.id.clone() });
        }
        if !ids.insert(&person.id) {
            return twice("id");
        }
        if let Some(user) = &person.slack_user {
            if !is_person(user) {
                return Err(TenantsError::NoPerson { tenant: id.clone(), user: user.clone() });
            }
            if !users.insert(user) {
                return twice("slack_user");
            }
        }
        // Across tenants too: a token says whose data its bearer sees.
        if person.token_sha256.is_some_and(|digest| !tokens.insert(digest.into())) {
            return twice("token_sha256");
        }
    }
    Ok(())
}

/// People's ids begin with U, or W in an Enterprise Grid.
fn is_person(user: &str) -> bool {
    user.starts_with(['U', 'W']) && user.len() > 1 && user.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use runtime::secret::Secret;

    use super::*;

    fn person(id: &str, user: Option<&str>, token: Option<&str>) -> Person {
        Person {
            id: id.parse().unwrap(),
            groups: BTreeSet::from(["on-call".to_owned()]),
            slack_user: user.map(str::to_owned),
            token_sha256: token.map(TokenDigest::of),
        }
    }

    fn edge(token: &str, people: Vec<Person>) -> TenantEdge {
        TenantEdge { webhook_token: Secret::new(token), correlation: Correlation::default(), slack: None, people }
    }

    fn tenants(edges: Vec<(&str, TenantEdge)>) -> Result<Tenants, TenantsError> {
        Tenants::new(edges.into_iter().map(|(id, edge)| (id.parse().unwrap(), edge)).collect())
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_the_tenants_own_token_opens_its_webhook() {
        let tenants = tenants(vec![("acme", edge("red", vec![])), ("blue", edge("green", vec![]))]).unwrap();
        let opens = |name: &str, values: &[&str]| tenants.webhook(name, &headers(values)).map(|t| t.id.to_string());
        assert_eq!(opens("acme", &["Bearer red"]).as_deref(), Some("acme"));
        assert_eq!(opens("acme", &["bearer  red "]).as_deref(), Some("acme"));
        for (name, values) in [
            ("acme", &["Bearer green"][..]),
            ("acme", &["Bearer re"]),
            ("acme", &["Bearer redd"]),
            ("acme", &["Basic red"]),
            ("acme", &["red"]),
            ("acme", &["Bearer "]),
            ("acme", &[]),
            ("acme", &["Bearer red", "Bearer red"]),
            ("nobody", &["Bearer red"]),
            ("nobody", &["Bearer "]),
            ("nobody", &[]),
            ("a.b", &["Bearer red"]),
        ] {
            assert_eq!(opens(name, values), None, "{name} {values:?}");
        }
    }

    #[test]
    fn a_personal_token_names_person_and_tenant() {
        let acme = edge("x", vec![person("ann", None, Some("a")), person("bob", None, None)]);
        let blue = edge("y", vec![person("ann", None, Some("c"))]);
        let tenants = tenants(vec![("acme", acme), ("blue", blue)]).unwrap();
        let who = |value: &str| {
            let headers = headers(&[value]);
            tenants.caller(&headers).map(|caller| format!("{}/{}", caller.tenant.id, caller.person.id))
        };
        assert_eq!(who("Bearer a").as_deref(), Some("acme/ann"));
        assert_eq!(who("Bearer c").as_deref(), Some("blue/ann"));
        assert_eq!(who("Bearer b"), None);
        assert_eq!(who("Bearer x"), None);
    }

    #[test]
    fn slack_users_who_are_not_known_are_strangers() {
        let tenants = tenants(vec![("acme", edge("x", vec![person("ann", Some("U1"), None)]))]).unwrap();
        let tenant = tenants.named("acme").unwrap();
        assert_eq!(tenant.slack_person("U1").unwrap().as_str(), "ann");
        let stranger = tenant.slack_person("U2").unwrap();
        assert_eq!(stranger.as_str(), "slack-U2");
        assert!(!tenants.directories()[&tenant.id].contains_key(&stranger));
        assert_eq!(tenant.slack_person("U 2"), None);
    }

    #[test]
    fn configurations_that_let_the_wrong_ones_in_are_refused() {
        let one = |people| tenants(vec![("acme", edge("x", people))]).map(drop);
        let acme: TenantId = "acme".parse().unwrap();
        let twice = |field| Err(TenantsError::Twice { tenant: acme.clone(), field });
        assert_eq!(
            tenants(vec![("acme", edge("", vec![]))]).map(drop),
            Err(TenantsError::EmptySecret { tenant: acme.clone(), field: "webhook_token" })
        );
        assert_eq!(one(vec![person("ann", None, None), person("ann", None, None)]), twice("id"));
        assert_eq!(one(vec![person("ann", Some("U1"), None), person("bob", Some("U1"), None)]), twice("slack_user"));
        assert_eq!(one(vec![person("ann", None, Some("t")), person("bob", None, Some("t"))]), twice("token_sha256"));
        assert!(matches!(one(vec![person("ann", Some("B1"), None)]), Err(TenantsError::NoPerson { .. })));
        assert!(matches!(one(vec![person("slack-U1", None, None)]), Err(TenantsError::Stranger { .. })));
        let across = vec![
            ("acme", edge("x", vec![person("ann", None, Some("t"))])),
            ("blue", edge("y", vec![person("bob", None, Some("t"))])),
        ];
        assert!(matches!(tenants(across), Err(TenantsError::Twice { field: "token_sha256", .. })));
    }
}
