//! The conformance agent: it does what the prefix of a message asks for, and nothing else.

use std::time::Duration;

use a2a::{
    A2aError, AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Artifact, Caller, Message, Role, SendMessageRequest,
    Task, TaskState,
};
use tasks::{Admission, Executor, Surroundings, Update, Updates, Work};

use crate::script::{Piece, Script, Step, is_kit_message, script_of};

/// Media types that the agent takes and makes.
const MODES: [&str; 4] = ["text/plain", "application/json", "application/octet-stream", "text"];

/// Carries scripts out.
#[derive(Debug, Clone, Copy)]
pub struct ConformanceAgent {
    /// Makes ids of the agent's own messages, and tells apart messages of kits that use an id again.
    pub surroundings: Surroundings,
}

impl Executor for ConformanceAgent {
    async fn execute(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        let turns = work.task.history.iter().filter(|message| message.role == Role::User).count();
        let Script::Steps(steps) = script_of(&work.message, turns > 1) else {
            return Err(A2aError::internal("a message that is answered without a task became one"));
        };
        for step in steps {
            match step {
                Step::Status(state, text) => updates.report(status(&updates, state, text)).await?,
                Step::Artifact(piece) => updates.report(artifact(piece)).await?,
                Step::Wait(duration) if !wait(&updates, duration).await => return Ok(()),
                Step::Wait(_) => {}
                Step::AwaitCancel => updates.stopped().await,
            }
        }
        Ok(())
    }

    async fn cancel(&self, _work: Work, updates: Updates) -> Result<(), A2aError> {
        updates.report(TaskState::Canceled).await?;
        updates.flush().await
    }

    fn admit(&self, _caller: &Caller, request: &SendMessageRequest, task: Option<&Task>) -> Result<Admission, A2aError> {
        match script_of(&request.message, task.is_some()) {
            Script::Reply(text) => {
                let message = Message::new(self.surroundings.id(), Role::Agent, vec![a2a::Part::text(text)]);
                Ok(Admission::Reply(Message { task_id: request.message.task_id.clone(), ..message }))
            }
            Script::Steps(_) => Ok(Admission::Task),
        }
    }

    fn identity(&self, message: &Message) -> String {
        let id = &message.message_id;
        if is_kit_message(id) { format!("{id}/{}", self.surroundings.id()) } else { id.clone() }
    }
}

fn status(updates: &Updates, state: TaskState, text: Option<String>) -> Update {
    match text {
        Some(text) => Update::say(state, updates.message(vec![a2a::Part::text(text)])),
        None => Update::from(state),
    }
}

fn artifact(piece: Piece) -> Update {
    let artifact = Artifact { name: Some("output".to_owned()), ..Artifact::new("output", vec![piece.part]) };
    match (piece.append, piece.last) {
        (false, true) => Update::Artifact(artifact),
        (false, false) => Update::Begun(artifact),
        (true, is_last) => Update::Piece { artifact, is_last },
    }
}

/// Whether the time went by before the work was to stop.
async fn wait(updates: &Updates, duration: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(duration) => true,
        () = updates.stopped() => false,
    }
}

/// What the agent says of itself, at these interfaces.
pub fn card(interfaces: Vec<AgentInterface>) -> AgentCard {
    let modes: Vec<String> = MODES.map(str::to_owned).to_vec();
    AgentCard {
        name: "Paramedic conformance agent".to_owned(),
        description: "For conformance tests of A2A only: it does what a message's prefix asks for, and no work".to_owned(),
        supported_interfaces: interfaces,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: AgentCapabilities {
            streaming: Some(true),
            push_notifications: Some(true),
            extended_agent_card: Some(true),
            ..AgentCapabilities::default()
        },
        default_input_modes: modes.clone(),
        default_output_modes: modes,
        skills: vec![skill("script", "Acts by prefix", "Does what the prefix of the message id, or of the first text, asks for")],
        ..AgentCard::default()
    }
}

/// What it says to callers that it knows.
pub fn extended_card(card: &AgentCard) -> AgentCard {
    let mut extended = card.clone();
    extended.skills.push(skill("known", "Known callers", "Is listed for callers that are known, to tell the cards apart"));
    extended
}

fn skill(id: &str, name: &str, description: &str) -> AgentSkill {
    let (id, name, description) = (id.to_owned(), name.to_owned(), description.to_owned());
    AgentSkill { id, name, description, tags: vec!["conformance".to_owned()], ..AgentSkill::default() }
}
