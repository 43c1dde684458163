//! An agent somewhere, over the binding that its address or card offers.

use std::collections::BTreeSet;
use std::sync::Arc;

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use a2a_http::Client;
use a2a_nats::{Address, ClientOptions, NatsClient};
use anyhow::Context as _;
use runtime::clock;
use url::Url;

use crate::args::{A2aBinding, A2aClient};

/// The agent, and as whom we come.
pub(super) struct Agent {
    way: Way,
    caller: Caller,
}

enum Way {
    Http(Client),
    Nats(NatsClient),
}

impl Agent {
    /// Finds out how the agent is reached: by the scheme of its address, else by its card.
    pub(super) async fn connect(client: &A2aClient) -> anyhow::Result<Self> {
        let extensions: BTreeSet<String> = client.extension.iter().cloned().collect();
        if client.agent.starts_with("nats://") || client.agent.starts_with("tls://") {
            let (server, address) = Address::from_url(&client.agent)?;
            let tenant = address.tenant().to_owned();
            let nats = connect_nats(&server, &tenant, client).await?;
            let options = ClientOptions::new(address, client.sender.clone(), Arc::new(clock::now));
            let way = Way::Nats(super::told(NatsClient::connect(nats, options).await)?);
            return Ok(Self { way, caller: Caller { tenant, sender: client.sender.clone(), extensions } });
        }
        let url: Url = client.agent.parse().with_context(|| format!("{} is no address", client.agent))?;
        let card = a2a_http::fetch_card(&url).await.map_err(|error| anyhow::anyhow!("{error}")).with_context(|| {
            format!("fetching the agent's card below {url} (nats://HOST:PORT/a2a.TENANT.AGENT is an agent on NATS)")
        })?;
        let preferred: Vec<_> = client.binding.map(A2aBinding::http).into_iter().collect();
        let token = client.token.clone().map(Into::into);
        let way = Way::Http(Client::from_card(&card, token, &preferred)?);
        // Who we are is said by the token; the caller's other members are not looked at over HTTP.
        Ok(Self { way, caller: Caller { extensions, ..Caller::default() } })
    }

    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
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
