//! Approvals: who may say yes to a plan, what a yes is, and when it counts (P3, P4). Only [`Approved`] lets a plan run, and only
//! [`Approved::check`] makes one.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ApprovalId, PersonId, TaskId, TenantId};
use crate::plan::{Digest, Plan, Templates};

/// What a plan needs before it may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// How many different people must say yes; at least one.
    pub quorum: u8,
    /// A person counts who is in one of these groups.
    pub groups: BTreeSet<String>,
}

/// One line of the policy file: for these namespaces, this is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// Namespaces that the rule is for; empty means all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// How many different people must say yes. Zero means: never, whoever asks.
    pub approvers: u8,
    /// A person counts who is in one of these groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// After how many seconds without enough answers the plan is denied.
    #[serde(default = "default_expires_s")]
    pub expires_s: u32,
    /// After how many seconds without an answer people are reminded.
    #[serde(default = "default_remind_s")]
    pub remind_s: u32,
}

fn default_expires_s() -> u32 {
    1_800
}

fn default_remind_s() -> u32 {
    600
}

/// The longest that a plan may wait: what was true of a cluster an hour ago is worth looking at again.
pub const EXPIRES_S_MAX: u32 = 3_600;

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy rule {number}: {field} {rule}")]
pub struct PolicyError {
    /// Which rule, from 1.
    number: usize,
    /// Which field.
    field: &'static str,
    /// What it must be.
    rule: &'static str,
}

/// What may run behind whose yes. The first rule that fits decides; where none fits, nothing runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Policy(pub Vec<PolicyRule>);

impl Policy {
    /// Checks what the file's types cannot say.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(), PolicyError> {
        for (n, rule) in self.0.iter().enumerate() {
            let rules = [
                ((1..=EXPIRES_S_MAX).contains(&rule.expires_s), "expires_s", "must be 1 to 3600"),
                (rule.remind_s > 0, "remind_s", "must be at least 1"),
                (rule.approvers == 0 || !rule.groups.is_empty(), "groups", "must name at least one group, or nobody can approve"),
            ];
            if let Some((_, field, rule)) = rules.into_iter().find(|(holds, ..)| !holds) {
                return Err(PolicyError { number: n + 1, field, rule });
            }
        }
        Ok(())
    }

    /// The rule in force for a namespace; none means: never.
    pub fn rule_for(&self, namespace: &str) -> Option<&PolicyRule> {
        let fits = |rule: &&PolicyRule| rule.namespaces.is_empty() || rule.namespaces.iter().any(|n| n == namespace);
        self.0.iter().find(fits).filter(|rule| rule.approvers > 0 && !rule.groups.is_empty())
    }
}

impl PolicyRule {
    /// What the rule asks of approvals.
    pub fn needs(&self) -> Needs {
        Needs { quorum: self.approvers, groups: self.groups.clone() }
    }
}

/// Which groups each known person is in.
pub type Directory = BTreeMap<PersonId, BTreeSet<String>>;

/// Through what a person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A button in Slack, signed by Slack.
    Slack,
    /// The `paramedic` command, with a personal token.
    Cli,
    /// The HTTP API, with a personal token.
    Api,
    /// An A2A client that speaks for the person, with a token of its own.
    A2a,
}

impl Channel {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Cli => "the command line",
            Self::Api => "the HTTP API",
            Self::A2a => "an A2A client",
        }
    }
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Yes to exactly this plan.
    Approve,
    /// No, and why. One no is enough.
    Reject {
        /// The person's words: untrusted text.
        reason: String,
    },
}

/// One person's answer to one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vote {
    /// Whose plan.
    pub tenant: TenantId,
    /// Which request.
    pub approval: ApprovalId,
    /// Of which remediation task.
    pub task: TaskId,
    /// Digest of the plan that the person saw.
    pub digest: Digest,
    /// What they answered.
    #[serde(flatten)]
    pub answer: Answer,
    /// Who, verified by the gateway; never a display name.
    pub person: PersonId,
    /// How.
    pub channel: Channel,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// A vote as the gateway vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// Ed25519 over the vote's canonical JSON (RFC 8785), base64.
    pub signature: String,
    /// As [`ApprovalRequest::trace`]; not signed, and nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl SignedVote {
    /// Signs a vote; only the gateway holds the key.
    ///
    /// # Errors
    /// If the vote cannot be written as JSON, which votes made of these types always can.
    pub fn sign(vote: Vote, key: &SigningKey) -> Result<Self, serde_json::Error> {
        let bytes = serde_json_canonicalizer::to_vec(&vote)?;
        Ok(Self { vote, signature: STANDARD.encode(key.sign(&bytes).to_bytes()), trace: None })
    }

    fn is_genuine(&self, key: &VerifyingKey) -> bool {
        let Ok(bytes) = serde_json_canonicalizer::to_vec(&self.vote) else { return false };
        let Ok(raw) = STANDARD.decode(&self.signature) else { return false };
        Signature::from_slice(&raw).is_ok_and(|signature| key.verify_strict(&bytes, &signature).is_ok())
    }
}

/// The question put to people: published on `approval.<tenant>.<id>.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRequest {
    /// Names the request; a plan made anew gets a new one.
    pub approval: ApprovalId,
    /// Exactly what would be done.
    pub plan: Plan,
    /// Digest of the plan.
    pub digest: Digest,
    /// What it needs.
    pub needs: Needs,
    /// W3C `traceparent` of what led to the question. The answer comes from outside, perhaps much later: with this the trace goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The question, and what only remediation knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// What people are asked.
    pub request: ApprovalRequest,
    /// What would be put into the cluster.
    pub templates: Templates,
}

/// A request that no longer waits for an answer: published on `approval.<tenant>.<id>.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalClosed {
    /// Whose.
    pub tenant: TenantId,
    /// Which request.
    pub approval: ApprovalId,
    /// Of which remediation task.
    pub task: TaskId,
    /// How it ended.
    pub why: String,
}

/// Why a vote does not count. Each is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Not signed by the gateway, or changed since.
    #[error("the signature is not the gateway's")]
    BadSignature,
    /// For another request or tenant.
    #[error("the answer is for another request")]
    OtherRequest,
    /// For another plan than the one that waits.
    #[error("the answer is for another plan than the one that waits")]
    OtherPlan,
    /// Too late.
    #[error("the request has expired")]
    Expired,
    /// The person is not in the directory, or in none of the groups.
    #[error("this person may not decide on this plan")]
    NotAuthorised,
    /// The person has answered already.
    #[error("this person has answered already")]
    AnsweredAlready,
    /// The request no longer waits for an answer.
    #[error("the request no longer waits for an answer")]
    NotPending,
    /// Not enough people have said yes.
    #[error("not enough people have approved")]
    QuorumMissing,
    /// The policy was changed since the question was put: it asks for more by now, or lets nothing run.
    #[error("the policy in force asks for more than the request does")]
    PolicyChanged,
    /// What would be put into the cluster is not what the plan means.
    #[error("the pod templates are not those of the plan")]
    OtherTemplates,
}

impl ApprovalRequest {
    /// Whether this person may answer, by the directory as it is now.
    pub fn may_answer(&self, person: &PersonId, directory: &Directory) -> bool {
        directory.get(person).is_some_and(|groups| !groups.is_disjoint(&self.needs.groups))
    }

    /// Whether the request asks for as much as the policy does now: no fewer people, out of no other groups.
    fn satisfies(&self, policy: &Policy) -> bool {
        let rule = policy.rule_for(&self.plan.target.workload.namespace);
        rule.is_some_and(|rule| self.needs.quorum >= rule.approvers && self.needs.groups.is_subset(&rule.groups))
    }

    /// Whether a vote counts.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn admit(&self, signed: &SignedVote, given: &[SignedVote], trust: &Trust<'_>) -> Result<(), Refusal> {
        let vote = &signed.vote;
        if !signed.is_genuine(trust.gateway_key) {
            return Err(Refusal::BadSignature);
        }
        if vote.approval != self.approval || vote.task != self.plan.task || vote.tenant != self.plan.tenant {
            return Err(Refusal::OtherRequest);
        }
        if vote.digest != self.digest {
            return Err(Refusal::OtherPlan);
        }
        if vote.decided_at >= self.plan.expires_at || trust.now >= self.plan.expires_at {
            return Err(Refusal::Expired);
        }
        if !self.satisfies(trust.policy) {
            return Err(Refusal::PolicyChanged);
        }
        if !self.may_answer(&vote.person, trust.directory) {
            return Err(Refusal::NotAuthorised);
        }
        if given.iter().any(|other| other.vote.person == vote.person) {
            return Err(Refusal::AnsweredAlready);
        }
        Ok(())
    }
}

/// What votes are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The gateway's public key.
    pub gateway_key: &'a VerifyingKey,
    /// Who is in which group, now.
    pub directory: &'a Directory,
    /// The policy in force, now.
    pub policy: &'a Policy,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Proof that a plan may run. There is no other way to make one than [`Approved::check`], and the executor takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    plan: Plan,
    digest: Digest,
    templates: Templates,
}

impl Approved {
    /// Checks everything once more, right before the act: the plan still has the digest that people saw, and enough people who may
    /// decide today have said yes to that digest in time.
    ///
    /// # Errors
    /// Why the plan may not run.
    pub fn check(proposal: &Proposal, votes: &[SignedVote], trust: &Trust<'_>) -> Result<Self, Refusal> {
        let Proposal { request, templates } = proposal;
        if !request.plan.fits(templates) {
            return Err(Refusal::OtherTemplates);
        }
        let digest = request.plan.digest().map_err(|_| Refusal::OtherPlan)?;
        if digest != request.digest {
            return Err(Refusal::OtherPlan);
        }
        for (n, signed) in votes.iter().enumerate() {
            request.admit(signed, votes.get(..n).unwrap_or_default(), trust)?;
            if signed.vote.answer != Answer::Approve {
                return Err(Refusal::QuorumMissing);
            }
        }
        if request.needs.quorum == 0 || votes.len() < usize::from(request.needs.quorum) {
            return Err(Refusal::QuorumMissing);
        }
        Ok(Self { plan: request.plan.clone(), digest, templates: templates.clone() })
    }

    /// What may run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The very templates that its digests name.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }
}
