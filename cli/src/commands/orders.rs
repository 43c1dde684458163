//! What people want of incidents: `paramedic incident ack` and the like.

use anyhow::Context as _;
use incident::id::{IncidentId, PersonId};
use incident::order::Want;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::args::{Connection, OrderOf, OrderVerb};
use crate::output::show;
use crate::program;

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    order: String,
    incident: String,
    state: String,
}

pub(crate) async fn give(api: &Api, verb: OrderVerb, connection: &Connection) -> anyhow::Result<()> {
    let (OrderOf { id, idempotency_key }, want) = read(verb)?;
    let body = serde_json::to_value(&want)?;
    let given: Given = api.post_once(&format!("v1/incidents/{id}/orders"), &body, idempotency_key.as_deref()).await?;
    show(connection.output, &given, |given| told(given, &want, connection))
}

fn told(given: &Given, want: &Want, connection: &Connection) -> String {
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    let Given { incident, state, .. } = given;
    if state == "done" {
        return format!("{incident}: you {}.", want.sentence());
    }
    format!(
        "{incident}: on its way, but not done yet. {paramedic} incident timeline {incident}{flag} will show what comes of it."
    )
}

fn read(verb: OrderVerb) -> anyhow::Result<(OrderOf, Want)> {
    Ok(match verb {
        OrderVerb::Ack { of, minutes } => (of, Want::Acknowledge { minutes }),
        OrderVerb::Unack { of } => (of, Want::Unacknowledge),
        OrderVerb::Own { of, to } => (of, Want::Own { owner: to.map(person).transpose()? }),
        OrderVerb::Release { of } => (of, Want::Release),
        OrderVerb::Note { of, text } => (of, Want::Note { text }),
        OrderVerb::Resolve { of, reason, while_firing } => (of, Want::Resolve { reason, while_firing }),
        OrderVerb::Merge { of, into } => (of, Want::Merge { into: incident(into)? }),
        OrderVerb::Attach { of, alerts, to } => (of, Want::Attach { alerts, to: incident(to)? }),
        OrderVerb::Split { of, alerts } | OrderVerb::Detach { of, alerts } => (of, Want::Detach { alerts }),
    })
}

fn incident(id: String) -> anyhow::Result<IncidentId> {
    id.try_into().context("the other incident must be named by its id, such as inc_0123456789abcdef")
}

fn person(id: String) -> anyhow::Result<PersonId> {
    id.try_into().context("--to must be the id of one of the tenant's people")
}
