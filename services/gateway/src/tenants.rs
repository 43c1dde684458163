//! Who calls: tenants by their webhook tokens, people by their own tokens or their Slack user ids. Whoever is not known is nobody, and
//! nobody learns whether it was the name or the token that was wrong.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use incident::alert::Correlation;
use incident::approval::Directory;
use incident::heartbeat::Heartbeats;
use incident::id::{PersonId, TenantId};
use incident::task::Role;
use subtle::{Choice, ConditionallySelectable as _};

use crate::agents::AGENTS;
use crate::alertmanager::Sorting;
use crate::config::{A2aClient, Person, SilencesOf, SlackEdge, TenantEdge, TokenDigest};
use crate::replies::is_loopback;

/// Ids of people whom nobody knows are made with this, for the record of refused answers; so nobody known may have such an id.
const STRANGER: &str = "slack-";
/// More often is a burden for the Alertmanager, and after an hour what was silenced there has called people here.
const FOLLOWED_EVERY_S: std::ops::RangeInclusive<u32> = 10..=3_600;

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
    /// Not a name that can stand in a subject.
    #[error("tenant {tenant}: a2a_clients.name {name:?} must be 1 to 63 characters out of a-z, A-Z, 0-9, '_' and '-'")]
    ClientName {
        /// Whose.
        tenant: TenantId,
        /// The name.
        name: String,
    },
    /// No agent that takes work.
    #[error(
        "tenant {tenant}: a2a_clients.agents of {name} names {agent}, which takes no work; diagnostics, remediation and communication do"
    )]
    ClientAgent {
        /// Whose.
        tenant: TenantId,
        /// Which client.
        name: String,
        /// Which agent.
        agent: Role,
    },
    /// A voice without a person.
    #[error("tenant {tenant}: a2a_clients.speaks_for of {name} must be the id of one of the tenant's people")]
    ClientPerson {
        /// Whose.
        tenant: TenantId,
        /// Which client.
        name: String,
    },
    /// Somebody must answer for what is muted.
    #[error("tenant {tenant}: silences.owner must be the id of one of the tenant's people")]
    SilencesOwner {
        /// Whose.
        tenant: TenantId,
    },
    /// A number or an address out of its bounds.
    #[error("tenant {tenant}: silences.{field} {rule}")]
    Silences {
        /// Whose.
        tenant: TenantId,
        /// Which.
        field: &'static str,
        /// The rule.
        rule: &'static str,
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
    pub(crate) heartbeats: Heartbeats,
    pub(crate) silences: Option<SilencesOf>,
    pub(crate) slack: Option<SlackEdge>,
    pub(crate) people: Vec<Person>,
    clients: Vec<A2aClient>,
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

/// An A2A client with a token of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) client: &'a A2aClient,
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
            let TenantEdge { webhook_token, correlation, heartbeats, silences, slack, people, a2a_clients: clients } = edge;
            let webhook = TokenDigest::of(webhook_token.reveal());
            by_id.insert(id.clone(), Tenant { id, correlation, heartbeats, silences, slack, people, clients, webhook });
        }
        Ok(Self { by_id, nobody: TokenDigest::of("") })
    }

    /// Who is in which group, for each tenant: what answers are judged by.
    pub fn directories(&self) -> BTreeMap<TenantId, Directory> {
        let directory = |tenant: &Tenant| tenant.people.iter().map(|p| (p.id.clone(), p.groups.clone())).collect();
        self.by_id.iter().map(|(id, tenant)| (id.clone(), directory(tenant))).collect()
    }

    /// Alertmanagers whose silences are taken over.
    pub fn silences(&self) -> Vec<(TenantId, SilencesOf)> {
        self.by_id.values().filter_map(|tenant| Some((tenant.id.clone(), tenant.silences.clone()?))).collect()
    }

    /// Tenants with A2A clients.
    pub fn with_clients(&self) -> Vec<TenantId> {
        self.by_id.values().filter(|tenant| !tenant.clients.is_empty()).map(|tenant| tenant.id.clone()).collect()
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

    /// The person whose token the caller has.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller<'_>> {
        let everybody = self.by_id.values().flat_map(|tenant| tenant.people.iter().map(move |person| Caller { tenant, person }));
        whose(headers, everybody, |caller| caller.person.token_sha256)
    }

    /// The A2A client whose token the caller has.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Option<Client<'_>> {
        let all = self.by_id.values().flat_map(|tenant| tenant.clients.iter().map(move |client| Client { tenant, client }));
        whose(headers, all, |client| Some(client.client.token_sha256))
    }
}

/// Whose token came with the call. Looks at all of them, so that the time does not tell whose it is.
fn whose<T>(headers: &HeaderMap, all: impl Iterator<Item = T> + Clone, token: impl Fn(&T) -> Option<TokenDigest>) -> Option<T> {
    let given = TokenDigest::of(bearer(headers)?);
    let (mut place, mut found) = (0_u32, Choice::from(0));
    for (n, one) in (0_u32..).zip(all.clone()) {
        let is_theirs = token(&one).map_or(Choice::from(0), |digest| digest.matches(&given));
        place.conditional_assign(&n, is_theirs);
        found |= is_theirs;
    }
    let place = usize::try_from(place).ok()?;
    if bool::from(found) { all.clone().nth(place) } else { None }
}

impl Tenant {
    /// How its alerts are sorted.
    pub(crate) fn sorting(&self) -> Sorting<'_> {
        Sorting { tenant: &self.id, correlation: &self.correlation, heartbeats: &self.heartbeats }
    }

    /// Whether this is one of its people.
    pub(crate) fn knows(&self, person: &PersonId) -> bool {
        self.people.iter().any(|known| known.id == *person)
    }

    /// The A2A client of this name.
    pub(crate) fn client_named(&self, name: &str) -> Option<&A2aClient> {
        self.clients.iter().find(|client| client.name == name)
    }

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
    check_silences(id, edge)?;
    check_clients(id, edge, tokens)
}

fn check_silences(id: &TenantId, edge: &TenantEdge) -> Result<(), TenantsError> {
    let Some(silences) = &edge.silences else { return Ok(()) };
    if edge.people.iter().all(|known| known.id != silences.owner) {
        return Err(TenantsError::SilencesOwner { tenant: id.clone() });
    }
    let is_http = ["http", "https"].contains(&silences.alertmanager.scheme());
    let rules = [
        (is_http, "alertmanager", "must be an Alertmanager's address, such as http://alertmanager:9093"),
        (FOLLOWED_EVERY_S.contains(&silences.every_s), "every_s", "must be 10 to 3600"),
    ];
    match rules.into_iter().find(|(holds, ..)| !holds) {
        Some((_, field, rule)) => Err(TenantsError::Silences { tenant: id.clone(), field, rule }),
        None => Ok(()),
    }
}

fn check_clients(id: &TenantId, edge: &TenantEdge, tokens: &mut BTreeSet<String>) -> Result<(), TenantsError> {
    let mut names = BTreeSet::new();
    for client in &edge.a2a_clients {
        let (tenant, name) = (id.clone(), client.name.clone());
        let is_token =
            (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !is_token {
            return Err(TenantsError::ClientName { tenant, name });
        }
        if !names.insert(&client.name) {
            return Err(TenantsError::Twice { tenant, field: "a2a_clients.name" });
        }
        if let Some(&agent) = client.agents.iter().find(|agent| !AGENTS.contains(agent)) {
            return Err(TenantsError::ClientAgent { tenant, name, agent });
        }
        if client.speaks_for.as_ref().is_some_and(|person| edge.people.iter().all(|known| known.id != *person)) {
            return Err(TenantsError::ClientPerson { tenant, name });
        }
        // A person's token is the person's alone.
        if !tokens.insert(client.token_sha256.into()) {
            return Err(TenantsError::Twice { tenant, field: "a2a_clients.token_sha256" });
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
        TenantEdge {
            webhook_token: Secret::new(token),
            correlation: Correlation::default(),
            heartbeats: Heartbeats::new(),
            silences: None,
            slack: None,
            people,
            a2a_clients: vec![],
        }
    }

    fn tenants(edges: Vec<(&str, TenantEdge)>) -> Result<Tenants, TenantsError> {
        Tenants::new(edges.into_iter().map(|(id, edge)| (id.parse().unwrap(), edge)).collect())
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn somebody_answers_for_silences_that_are_taken_over() {
        let of = |alertmanager: &str, owner: &str, every_s| SilencesOf {
            alertmanager: alertmanager.parse().unwrap(),
            token: None,
            owner: owner.parse().unwrap(),
            every_s,
        };
        let (am, id) = ("http://alertmanager:9093", "acme".parse::<TenantId>().unwrap());
        let silences = |field, rule| Some(TenantsError::Silences { tenant: id.clone(), field, rule });
        for (silences, expected) in [
            (of(am, "ann", 60), None),
            (of(am, "nobody", 60), Some(TenantsError::SilencesOwner { tenant: id.clone() })),
            (of(am, "ann", 9), silences("every_s", "must be 10 to 3600")),
            (of(am, "ann", 3_601), silences("every_s", "must be 10 to 3600")),
            (
                of("ftp://alertmanager", "ann", 60),
                silences("alertmanager", "must be an Alertmanager's address, such as http://alertmanager:9093"),
            ),
        ] {
            let edge = TenantEdge { silences: Some(silences), ..edge("x", vec![person("ann", None, Some("t"))]) };
            assert_eq!(tenants(vec![("acme", edge)]).err(), expected);
        }
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
        let client = |name: &str, agents: &[Role], speaks_for: Option<&str>| A2aClient {
            name: name.to_owned(),
            token_sha256: TokenDigest::of(name),
            agents: agents.iter().copied().collect(),
            nats_password: None,
            speaks_for: speaks_for.map(|person| person.parse().unwrap()),
        };
        let with = |clients| {
            tenants(vec![("acme", TenantEdge { a2a_clients: clients, ..edge("x", vec![person("ann", None, Some("bot"))]) })])
                .map(drop)
        };
        assert_eq!(with(vec![client("a", &AGENTS, Some("ann")), client("b", &[], None)]), Ok(()));
        assert!(matches!(with(vec![client("a.b", &[], None)]), Err(TenantsError::ClientName { .. })));
        assert!(matches!(with(vec![client("a", &[Role::Monitoring], None)]), Err(TenantsError::ClientAgent { .. })));
        assert!(matches!(with(vec![client("a", &[], Some("bob"))]), Err(TenantsError::ClientPerson { .. })));
        assert_eq!(with(vec![client("a", &[], None), client("a", &[], None)]), twice("a2a_clients.name"));
        assert_eq!(with(vec![client("bot", &[], None)]), twice("a2a_clients.token_sha256"));
        let across = vec![
            ("acme", edge("x", vec![person("ann", None, Some("t"))])),
            ("blue", edge("y", vec![person("bob", None, Some("t"))])),
        ];
        assert!(matches!(tenants(across), Err(TenantsError::Twice { field: "token_sha256", .. })));
    }
}
