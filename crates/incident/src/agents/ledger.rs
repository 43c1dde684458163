//! Ledger: chains every fact, once, in the order in which they arrive.

use chrono::{DateTime, Utc};

use crate::agent::{Agent, Content, Decision, Entity, Event, Locator, Misdirected};
use crate::record::Head;
use crate::task::Role;

/// Each tenant has one chain; it never ends.
const CHAIN: &str = "chain";

/// The ledger's behaviour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ledger;

impl Agent for Ledger {
    type State = Head;
    type Effect = ();
    type Outcome = ();

    fn role(&self) -> Role {
        Role::Ledger
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Fact(_) => Ok(Locator::Id(CHAIN.to_owned())),
            other => Err(other.misdirected(Role::Ledger)),
        }
    }

    fn decide(&self, entity: Option<Entity<Head>>, event: Event<()>, _now: DateTime<Utc>) -> Decision<Head, ()> {
        let Event::Message(Content::Fact(fact)) = event else { return Decision::unchanged("only facts are chained") };
        let mut head = entity.map(|e| e.state).unwrap_or_default();
        match head.append(*fact) {
            Ok(record) => {
                let entity = Entity { id: CHAIN.to_owned(), open_key: None, state: head };
                Decision { records: vec![record], ..Decision::put(entity, "chained") }
            }
            Err(error) => Decision::unchanged(format!("a fact that cannot be chained: {error}")),
        }
    }
}
