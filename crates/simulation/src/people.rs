//! People who answer, and what they see: the questions that the gateway shows them. Who is not answered calls again.

use std::collections::BTreeMap;

use incident::agent::{Content, Message, PersonsAnswer};
use incident::approval::{Answer, ApprovalRequest, Channel, SignedVote, Vote};
use incident::id::TenantId;
use incident::plan::Digest;

use crate::scenario::{Answers, How, Says};
use crate::scene::{Time, gateway_key, other_key};

/// A person's call of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its number: that of the person's wish, however often they call.
    pub(crate) number: u64,
    pub(crate) tenant: TenantId,
    answer: PersonsAnswer,
    calls: u32,
}

impl Call {
    /// Each call is a message of its own, as with the real gateway.
    pub(crate) fn message(&self) -> Message {
        let id = format!("answer-{}.{}", self.number, self.calls);
        Message { id, tenant: self.tenant.clone(), trace: None, content: Content::Answered(self.answer.clone()) }
    }
}

/// What somebody does about a question.
pub(crate) enum Reaction {
    /// Calls the gateway.
    Calls(Box<Call>),
    /// Puts a vote on the bus, past the gateway.
    Votes(Box<SignedVote>),
}

#[derive(Debug, Default)]
pub(crate) struct People {
    /// Questions in the order in which people could see them.
    pub(crate) asked: Vec<ApprovalRequest>,
    /// The newest vote that the gateway vouched for.
    pub(crate) newest_vote: Option<SignedVote>,
    calling: BTreeMap<u64, Call>,
    hung_up: Vec<u64>,
    counted: u64,
}

impl People {
    /// What somebody does about the n-th question, or else the newest one; none if there is nothing to do it to.
    pub(crate) fn answers(&mut self, answers: &Answers, nth: Option<u32>, now: Time) -> Option<Reaction> {
        let nth = nth.and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
        let request = nth.map_or_else(|| self.asked.last(), |n| self.asked.get(n))?;
        let person = answers.who.parse().ok()?;
        let answer = match answers.says {
            Says::Approve => Answer::Approve,
            Says::Reject => Answer::Reject { reason: "not now".to_owned() },
        };
        let vote = Vote {
            tenant: request.plan.tenant.clone(),
            approval: request.approval.clone(),
            task: request.plan.task.clone(),
            digest: request.digest.clone(),
            answer: answer.clone(),
            person,
            channel: Channel::Slack,
            decided_at: now,
        };
        match answers.how {
            How::Plainly => Some(self.call(vote, None)),
            How::WrongDigest => Some(self.call(vote, Some(Digest::of(b"another plan")))),
            How::OtherPlan => {
                let other = Vote { digest: Digest::of(b"another plan"), ..vote };
                Some(Reaction::Votes(Box::new(SignedVote::sign(other, &gateway_key()).ok()?)))
            }
            How::Forged => Some(Reaction::Votes(Box::new(SignedVote::sign(vote, &other_key()).ok()?))),
            How::Altered => {
                let mut signed = SignedVote::sign(Vote { person: "eve".parse().ok()?, ..vote.clone() }, &gateway_key()).ok()?;
                signed.vote.person = vote.person;
                Some(Reaction::Votes(Box::new(signed)))
            }
            How::Replayed => Some(Reaction::Votes(Box::new(self.newest_vote.clone()?))),
        }
    }

    fn call(&mut self, vote: Vote, other: Option<Digest>) -> Reaction {
        self.counted += 1;
        let Vote { tenant, approval, digest, answer, person, channel, .. } = vote;
        let digest = Some(other.unwrap_or(digest));
        let answer = PersonsAnswer { approval, digest, person, channel, client: None, answer };
        Reaction::Calls(Box::new(Call { number: self.counted, tenant, answer, calls: 0 }))
    }

    /// Somebody calls.
    pub(crate) fn calls(&mut self, call: &mut Call) {
        call.calls += 1;
        self.calling.insert(call.number, call.clone());
    }

    /// They have their answer.
    pub(crate) fn answered(&mut self, number: u64) {
        self.calling.remove(&number);
    }

    /// They have none, and will call again.
    pub(crate) fn hang_up(&mut self, number: u64) {
        self.hung_up.push(number);
    }

    /// Those who call again.
    pub(crate) fn call_again(&mut self) -> Vec<Call> {
        let again = std::mem::take(&mut self.hung_up);
        again.into_iter().filter_map(|number| self.calling.remove(&number)).collect()
    }
}
