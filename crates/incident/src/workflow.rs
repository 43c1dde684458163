//! A small graph of A2A tasks: which step needs which, how long each may take, how often it is tried (P6). It knows steps, not what
//! they are for.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;

/// One step of a graph.
#[derive(Debug, Clone, Copy)]
pub struct StepSpec<N: 'static> {
    /// Its name.
    pub name: N,
    /// Steps that must have ended before, well or not.
    pub needs: &'static [N],
    /// How long one attempt may take without a word from the agent, in seconds.
    pub timeout_s: i64,
    /// How often it is tried.
    pub attempts_max: u32,
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepState {
    /// For what it needs.
    Waiting,
    /// An agent has it.
    Running {
        /// Which attempt, from 1.
        attempt: u32,
        /// The agent's task.
        task: TaskId,
        /// Number of the newest event of the task that was heard.
        heard: u32,
        /// Without another word the attempt ends here.
        deadline: DateTime<Utc>,
    },
    /// It ended well.
    Done,
    /// It ended otherwise, or does not apply.
    GaveUp {
        /// Why.
        reason: String,
    },
}

impl StepState {
    /// Whether nothing follows.
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Waiting | Self::Running { .. } => false,
            Self::Done | Self::GaveUp { .. } => true,
        }
    }
}

/// The steps of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(bound = "N: Ord + Serialize + serde::de::DeserializeOwned")]
pub struct Workflow<N: Ord>(BTreeMap<N, StepState>);

/// What a deadline that passed means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overdue {
    /// Ask again; this is the number of the next attempt.
    TryAgain(u32),
    /// It was the last attempt.
    GaveUp,
}

impl<N: Ord + Copy + 'static> Workflow<N> {
    /// All steps waiting.
    pub fn new(graph: &[StepSpec<N>]) -> Self {
        Self(graph.iter().map(|spec| (spec.name, StepState::Waiting)).collect())
    }

    /// How a step stands.
    pub fn state(&self, name: N) -> &StepState {
        self.0.get(&name).unwrap_or(&StepState::Waiting)
    }

    /// Steps that wait for nothing any more.
    pub fn ready(&self, graph: &'static [StepSpec<N>]) -> Vec<&'static StepSpec<N>> {
        let is_ready = |spec: &&StepSpec<N>| {
            *self.state(spec.name) == StepState::Waiting && spec.needs.iter().all(|&need| self.state(need).is_over())
        };
        graph.iter().filter(is_ready).collect()
    }

    /// An agent was asked.
    pub fn start(&mut self, spec: &StepSpec<N>, attempt: u32, task: TaskId, now: DateTime<Utc>) {
        let deadline = now + TimeDelta::seconds(spec.timeout_s);
        self.0.insert(spec.name, StepState::Running { attempt, task, heard: 0, deadline });
    }

    /// The step that runs as this task.
    pub fn step_of(&self, task: &TaskId) -> Option<N> {
        let runs = |state: &StepState| matches!(state, StepState::Running { task: running, .. } if running == task);
        self.0.iter().find(|(_, state)| runs(state)).map(|(name, _)| *name)
    }

    /// The task that runs the step, and the number of its newest event that was heard.
    pub fn running(&self, name: N) -> Option<(TaskId, u32)> {
        match self.state(name) {
            StepState::Running { task, heard, .. } => Some((task.clone(), *heard)),
            _ => None,
        }
    }

    /// The step need not be waited for any longer than this.
    pub fn hasten(&mut self, name: N, latest: DateTime<Utc>) {
        if let Some(StepState::Running { deadline, .. }) = self.0.get_mut(&name) {
            *deadline = latest.min(*deadline);
        }
    }

    /// Event `number` of the step's task came. False: it is old news. True: the deadline is moved, for the agent is alive.
    pub fn hear(&mut self, name: N, number: u32, deadline: DateTime<Utc>) -> bool {
        match self.0.get_mut(&name) {
            Some(StepState::Running { heard, deadline: until, .. }) if number > *heard => {
                *heard = number;
                *until = deadline;
                true
            }
            _ => false,
        }
    }

    /// The step is over.
    pub fn end(&mut self, name: N, state: StepState) {
        self.0.insert(name, state);
    }

    /// What follows from the clock for a running step, if its deadline has passed.
    pub fn overdue(&self, spec: &StepSpec<N>, now: DateTime<Utc>) -> Option<Overdue> {
        match self.state(spec.name) {
            StepState::Running { attempt, deadline, .. } if now >= *deadline => {
                Some(if *attempt < spec.attempts_max { Overdue::TryAgain(attempt + 1) } else { Overdue::GaveUp })
            }
            _ => None,
        }
    }

    /// The nearest deadline of all running steps.
    pub fn next_deadline(&self) -> Option<DateTime<Utc>> {
        let deadline = |state: &StepState| match state {
            StepState::Running { deadline, .. } => Some(*deadline),
            _ => None,
        };
        self.0.values().filter_map(deadline).min()
    }
}
