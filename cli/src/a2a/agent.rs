//! An agent somewhere, over the binding that its address or card offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use a2a::card::VerifyKey;
use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use a2a_http::{Bearer, Client, ClientError};
use a2a_nats::{Address, ClientOptions, NatsClient};
use anyhow::Context as _;
use runtime::clock;
use url::Url;

use crate::args::{A2aBinding, A2aClient, CardKey};

/// The agent, and as whom we come.
pub(super) struct Agent {
    way: Way,
    caller: Caller,
    /// Those that its cards must be signed by; none: cards are taken as they are.
    keys: BTreeMap<String, VerifyKey>,
}

enum Way {
    Http(Client),
    Nats(NatsClient),
}

impl Agent {
    /// Finds out how the agent is reached: by the scheme of its address, else by its card.
    pub(super) async fn connect(client: &A2aClient) -> anyhow::Result<Self> {
        let extensions: BTreeSet<String> = client.extension.iter().cloned().collect();
        let keys = client.card_key.iter().map(key).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        if client.agent.starts_with("nats://") || client.agent.starts_with("tls://") {
            let (server, address) = Address::from_url(&client.agent)?;
            let tenant = address.tenant().to_owned();
            let nats = connect_nats(&server, &tenant, client).await?;
            let options = ClientOptions::new(address, client.sender.clone(), Arc::new(clock::now));
            let options = ClientOptions { card_keys: keys.clone(), ..options };
            let way = Way::Nats(super::told(NatsClient::connect(nats, options).await)?);
            return Ok(Self { way, caller: Caller { tenant, sender: client.sender.clone(), extensions }, keys });
        }
        let url: Url = client.agent.parse().with_context(|| format!("{} is no address", client.agent))?;
        let card = a2a_http::fetch_card(&url).await.map_err(|error| anyhow::anyhow!("{error}")).with_context(|| {
            format!("fetching the agent's card below {url} (nats://HOST:PORT/a2a.TENANT.AGENT is an agent on NATS)")
        })?;
        signer(&card, &keys)?;
        let preferred: Vec<_> = client.binding.map(A2aBinding::http).into_iter().collect();
        let bearer = client.token.clone().map(|token| Bearer { also: client.token_to.clone(), ..Bearer::new(token.into(), url) });
        let way = Way::Http(Client::from_card(&card, bearer, &preferred).map_err(not_there)?);
        // Who we are is said by the token; the caller's other members are not looked at over HTTP.
        Ok(Self { way, caller: Caller { extensions, ..Caller::default() }, keys })
    }

    /// By whose key this card of the agent is signed; none if no keys were given to check it with.
    pub(super) fn signer(&self, card: &AgentCard) -> anyhow::Result<Option<String>> {
        signer(card, &self.keys)
    }

    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }
}

fn signer(card: &AgentCard, keys: &BTreeMap<String, VerifyKey>) -> anyhow::Result<Option<String>> {
    if keys.is_empty() {
        return Ok(None);
    }
    a2a::card::verify(card, keys).map(Some).context("the agent's card is by none of the keys given with --card-key")
}

fn key(key: &CardKey) -> anyhow::Result<(String, VerifyKey)> {
    let file = key.file.display();
    let pem = std::fs::read_to_string(&key.file).with_context(|| format!("reading {file}"))?;
    let read = VerifyKey::from_pem(&pem).with_context(|| format!("{file} must be a public key of P-256 in PEM"))?;
    Ok((key.kid.clone(), read))
}

/// A client that cannot be set up, with what to do about it.
fn not_there(error: ClientError) -> anyhow::Error {
    match &error {
        ClientError::Elsewhere { url, .. } => {
            let origin = url.origin().ascii_serialization();
            anyhow::Error::new(error).context(format!("if {origin} is the agent's, allow it with --token-to {origin}"))
        }
        _ => error.into(),
    }
}

/// As the user that `paramedic nats-users` prints for a client. The inbox is that user's own: it may hear nothing else.
async fn connect_nats(server: &str, tenant: &str, client: &A2aClient) -> anyhow::Result<async_nats::Client> {
    let user = format!("{tenant}.{}", client.sender);
    let mut options = async_nats::ConnectOptions::new().custom_inbox_prefix(format!("_INBOX_{user}"));
    if let Some(token) = &client.token {
        options = options.user_and_password(user.clone(), token.clone());
    }
    options.connect(server).await.with_context(|| format!("connecting to {server} as {user}"))
}

macro_rules! hand_on {
    ($($method:ident($request:ty) -> $reply:ty;)+) => {
        impl A2aService for Agent {
            $(async fn $method(&self, caller: &Caller, request: $request) -> Result<$reply, A2aError> {
                match &self.way {
                    Way::Http(client) => client.$method(caller, request).await,
                    Way::Nats(client) => client.$method(caller, request).await,
                }
            })+

            fn card(&self) -> AgentCard {
                match &self.way {
                    Way::Http(client) => client.card(),
                    Way::Nats(client) => client.card(),
                }
            }
        }
    };
}

hand_on! {
    send_message(SendMessageRequest) -> SendMessageResponse;
    send_streaming_message(SendMessageRequest) -> EventStream;
    get_task(GetTaskRequest) -> Task;
    list_tasks(ListTasksRequest) -> ListTasksResponse;
    cancel_task(CancelTaskRequest) -> Task;
    subscribe_to_task(SubscribeToTaskRequest) -> EventStream;
    create_push_config(TaskPushNotificationConfig) -> TaskPushNotificationConfig;
    get_push_config(GetTaskPushNotificationConfigRequest) -> TaskPushNotificationConfig;
    list_push_configs(ListTaskPushNotificationConfigsRequest) -> ListTaskPushNotificationConfigsResponse;
    delete_push_config(DeleteTaskPushNotificationConfigRequest) -> ();
    extended_card(GetExtendedAgentCardRequest) -> AgentCard;
}
