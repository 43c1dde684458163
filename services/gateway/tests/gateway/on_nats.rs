//! Our agents over NATS, on a server that lets each user do just what it needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use a2a::{
    A2aService as _, ErrorKind, ListTasksRequest, Message, Part, Role as Speaker, SendMessageConfiguration, SendMessageRequest,
};
use a2a::{GetExtendedAgentCardRequest, SendMessageResponse, TaskState};
use a2a_nats::{Address, ClientOptions, NatsClient, get_card, sender_permissions};
use bus::permissions::Other;
use bus::{Bus, Connect, User};
use gateway::{A2aEdge, Agents, Ways};
use incident::task::Role;
use runtime::clock;
use runtime::lifecycle::Lifecycle;
use secrecy::SecretString;
use serde_json::json;
use store::{Options, Store, migrate, role_url};
use testkit::{Database, Nats};

use crate::bed::{SOON, tenant};

const PASSWORD: &str = "a-password-of-the-test";

struct Bed {
    nats: Nats,
    life: Lifecycle,
    _database: Database,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.life.stop();
    }
}

/// The bot may call diagnostics, and nobody else.
fn users() -> String {
    let passwords: BTreeMap<_, SecretString> = User::all().map(|user| (user, PASSWORD.into())).collect();
    let diagnostics = Address::new("acme", "diagnostics").unwrap();
    let permissions = sender_permissions("bot", &[diagnostics], "_INBOX_acme.bot").unwrap().to_string();
    let bot = Other { user: "acme.bot".to_owned(), password: PASSWORD.into(), permissions };
    bus::permissions::render(&passwords, &[bot]).unwrap()
}

async fn connect(nats: &Nats, user: User) -> Bus {
    Bus::connect(&Connect::new(nats.url(), user, Some(PASSWORD.into()))).await.unwrap()
}

async fn bed() -> Bed {
    let users = users();
    let (nats, database) = tokio::join!(testkit::nats(&users), testkit::postgres_database());
    let (nats, database) = (nats.unwrap(), database.unwrap());
    let admin = connect(&nats, User::Admin).await;
    bus::ensure(&admin, &bus::Settings::default()).await.unwrap();
    a2a_nats::ensure_bucket(&async_nats::jetstream::new(admin.client()), 1).await.unwrap();
    migrate(&database.url, &[(Role::Gateway, PASSWORD.to_owned())]).await.unwrap();
    let store = Options::new(role_url(&database.url, Role::Gateway, PASSWORD).unwrap(), Role::Gateway);
    let store = Store::connect(&store).await.unwrap();
    let bus = connect(&nats, User::Role(Role::Gateway)).await;
    let edge = A2aEdge { nats_url: Some("nats://nats.example:4222".parse().unwrap()), ..A2aEdge::default() };
    let ways = Ways::new(&"https://paramedic.example".parse().unwrap(), &edge).unwrap();
    let (agents, life) = (Agents::start(&store, &bus, ways).await.unwrap(), Lifecycle::default());
    life.spawn("agents on NATS", agents.clone().serve_on_nats(bus, vec![tenant()], life.clone()));
    Bed { nats, life, _database: database }
}

async fn bot(bed: &Bed, agent: &str) -> Result<NatsClient, a2a::A2aError> {
    let options = async_nats::ConnectOptions::with_user_and_password("acme.bot".to_owned(), PASSWORD.to_owned());
    let client = options.custom_inbox_prefix("_INBOX_acme.bot").connect(bed.nats.url()).await.unwrap();
    let address = Address::new("acme", agent).unwrap();
    NatsClient::connect(client, ClientOptions { deadline: SOON, ..ClientOptions::new(address, "bot", Arc::new(clock::now)) })
        .await
}

#[tokio::test]
async fn a_client_on_nats_gives_an_agent_work_and_no_other() {
    let bed = bed().await;
    let bot_of_diagnostics = testkit::eventually("the agent", SOON, async || bot(&bed, "diagnostics").await.ok()).await.unwrap();
    let errand = json!({"skill": "diagnose", "workload": null, "alerts": []});
    let message = Message::new("m-1", Speaker::User, vec![Part::data(errand)]);
    let configuration = SendMessageConfiguration { return_immediately: true, ..SendMessageConfiguration::default() };
    let request = SendMessageRequest { configuration: Some(configuration), ..SendMessageRequest::new(message) };
    let caller = bot_of_diagnostics.caller();
    let sent = bot_of_diagnostics.send_message(&caller, request).await.unwrap();
    let SendMessageResponse::Task(task) = sent else { panic!("{sent:?}") };
    assert_eq!(task.status.state, TaskState::Submitted);
    let listed = bot_of_diagnostics.list_tasks(&caller, ListTasksRequest::default()).await.unwrap();
    assert_eq!((listed.total_size, &listed.tasks[0].id), (1, &task.id));

    // The server keeps the bot from the other agents: nothing that it says there arrives.
    let refused = bot(&bed, "remediation").await.map(drop).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable, "{refused:?}");
    let admin = connect(&bed.nats, User::Admin).await;
    let jetstream = async_nats::jetstream::new(admin.client());
    let card = get_card(&jetstream, &Address::new("acme", "remediation").unwrap(), &BTreeMap::new()).await.unwrap();
    let card = card.unwrap();
    assert_eq!(card.name, "Paramedic remediation");
    assert_eq!(card.supported_interfaces.last().unwrap().url, "nats://nats.example:4222/a2a.acme.remediation");
    // Whoever is known as the tenant's client is told the same by the agent itself.
    let extended = bot_of_diagnostics.extended_card(&caller, GetExtendedAgentCardRequest::default()).await.unwrap();
    assert_eq!(extended.supported_interfaces.last().unwrap().url, "nats://nats.example:4222/a2a.acme.diagnostics");
}
