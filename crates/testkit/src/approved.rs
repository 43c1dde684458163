//! A plan as remediation makes it, approved as a person does.

use std::collections::BTreeSet;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use incident::approval::{
    Answer, ApprovalRequest, Approved, Channel, Directory, Needs, Policy, PolicyRule, Proposal, SignedVote, Trust, Vote,
};
use incident::id::{PersonId, TenantId};
use incident::plan::{Action, Plan, RollbackDraft, Undo, Verification};

const MINUTES: i64 = 30;
const SECONDS: u32 = 1_800;

/// Approves a draft, at `now`.
///
/// # Errors
/// If the plan that it makes cannot be approved.
pub fn approved(draft: RollbackDraft, now: DateTime<Utc>) -> Result<Approved> {
    let tenant: TenantId = "acme".parse()?;
    let RollbackDraft { target, from_revision, to_revision, templates, diff, .. } = draft;
    let plan = Plan {
        tenant: tenant.clone(),
        incident: "inc_1".parse()?,
        task: "task_1".parse()?,
        requested_by: None,
        generation: 1,
        runbook: "rollback-bad-deploy".to_owned(),
        target,
        action: Action::RollBack { from_revision, to_revision, template: templates.after.digest() },
        undo: Undo::RestoreTemplate { template: templates.before.digest() },
        diff,
        verification: Verification { expressions: BTreeSet::new(), settle_s: 1, deadline_s: 60 },
        risk: "none".to_owned(),
        proposed_at: now,
        expires_at: now + TimeDelta::minutes(MINUTES),
    };
    let groups = BTreeSet::from(["sre".to_owned()]);
    let rule = PolicyRule { namespaces: vec![], approvers: 1, groups: groups.clone(), expires_s: SECONDS, remind_s: SECONDS };
    let (person, digest): (PersonId, _) = ("ana".parse()?, plan.digest()?);
    let vote = Vote {
        tenant,
        approval: "apr_1".parse()?,
        task: plan.task.clone(),
        digest: digest.clone(),
        answer: Answer::Approve,
        person: person.clone(),
        channel: Channel::Cli,
        decided_at: now,
    };
    let needs = Needs { quorum: 1, groups: groups.clone() };
    let request = ApprovalRequest { approval: vote.approval.clone(), plan, digest, needs, trace: None };
    let key = SigningKey::from_bytes(&[7; 32]);
    let (directory, policy) = (Directory::from([(person, groups)]), Policy(vec![rule]));
    let trust = Trust { gateway_key: &key.verifying_key(), directory: &directory, policy: &policy, now };
    Ok(Approved::check(&Proposal { request, templates }, &[SignedVote::sign(vote, &key)?], &trust)?)
}
