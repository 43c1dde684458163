//! The client's side: the same operations on an agent elsewhere, over the interface that its card offers.
//!
//! Clients never answer for the agent: what cannot be reached or read becomes an error.

mod bearer;
mod card;
mod exchange;
mod grpc;
mod http_json;
mod json_rpc;
mod sse;

use std::time::Duration;

use a2a::card::{GRPC, HTTP_JSON, JSON_RPC};
use a2a::{
    A2aError, A2aService, AgentCard, AgentInterface, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
    EventStream, GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
    ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse,
    SendMessageRequest, SendMessageResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, Validate as _,
};
use secrecy::SecretString;
use url::Url;

pub use bearer::Bearer;
pub use card::fetch_card;
pub use grpc::GrpcClient;
pub use http_json::HttpJsonClient;
pub use json_rpc::JsonRpcClient;

use crate::operation::Ask;

/// Until a connection is there.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Until an operation answers that does not wait for the agent's work: a little longer than our servers take at most.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(35);
/// Until a send answers that waits for the agent's work. Whoever wants less drops the call; whoever wants more uses a stream.
pub const WORK_WITHIN: Duration = Duration::from_mins(30);
/// A whole answer. Agents bound what a task holds; this bounds agents.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// One line of a stream of events, which holds one event.
pub const EVENT_BYTES_MAX: usize = 16 << 20;
/// Silence on a stream of events. Our servers give a sign of life each 15 s; the spec asks none of agents.
pub const IDLE_WITHIN: Duration = Duration::from_mins(5);

/// Where an agent is, as whom we come, and how long we wait.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The interface's address.
    pub url: Url,
    /// Our bearer token there.
    pub token: Option<SecretString>,
    /// What requests say as `tenant` unless they say it themselves; an interface of a card may ask for it (§8.3.2).
    pub tenant: Option<String>,
    /// What [`A2aService::card`] answers; empty unless the client came from a card.
    pub card: AgentCard,
    /// See [`ANSWER_WITHIN`].
    pub answer_within: Duration,
    /// See [`WORK_WITHIN`].
    pub work_within: Duration,
    /// See [`IDLE_WITHIN`].
    pub idle_within: Duration,
    /// See [`ANSWER_BYTES_MAX`].
    pub answer_bytes_max: usize,
    /// See [`EVENT_BYTES_MAX`].
    pub event_bytes_max: usize,
}

impl Endpoint {
    /// An agent at this address.
    pub fn new(url: Url, token: Option<SecretString>) -> Self {
        Self {
            url,
            token,
            tenant: None,
            card: AgentCard::default(),
            answer_within: ANSWER_WITHIN,
            work_within: WORK_WITHIN,
            idle_within: IDLE_WITHIN,
            answer_bytes_max: ANSWER_BYTES_MAX,
            event_bytes_max: EVENT_BYTES_MAX,
        }
    }

    /// Adds the tenant that the interface asks for.
    fn address(&self, request: &mut impl Ask) {
        let tenant = request.tenant();
        if tenant.is_none() {
            tenant.clone_from(&self.tenant);
        }
    }

    fn of(binding: Binding, card: &AgentCard, interface: &AgentInterface, bearer: Option<Bearer>) -> Result<Self, ClientError> {
        let unusable = |problem: String| ClientError::Interface { url: interface.url.clone(), problem };
        interface.validate().map_err(|error| unusable(error.message))?;
        let url = if binding == Binding::Grpc { grpc::address(&interface.url) } else { interface.url.parse() };
        let url = url.map_err(|error| unusable(format!("url must be an absolute URL: {error}")))?;
        if let Some(bearer) = bearer.as_ref().filter(|bearer| !bearer.may_go_to(&url)) {
            return Err(ClientError::Elsewhere { card_url: Box::new(bearer.card_url.clone()), url: Box::new(url) });
        }
        let token = bearer.map(|bearer| bearer.token);
        Ok(Self { tenant: interface.tenant.clone(), card: card.clone(), ..Self::new(url, token) })
    }
}

/// A client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The card has no interface of ours in version 1.0.
    #[error("the agent's card offers none of {0:?} in version 1.0")]
    NoInterface(Vec<Binding>),
    /// The interface that was chosen is none.
    #[error("the card's interface at {url:?} cannot be used: {problem}")]
    Interface {
        /// Its address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The card would send the token elsewhere.
    #[error("the card at {card_url} has requests sent to {url}, which is another host or has no TLS: the token is not for there")]
    Elsewhere {
        /// Where the card was fetched.
        card_url: Box<Url>,
        /// Where it sends requests.
        url: Box<Url>,
    },
    /// The HTTP client: no TLS roots on this machine, or a token that is no header.
    #[error("setting up the HTTP client")]
    Http(#[source] reqwest::Error),
    /// The same for gRPC.
    #[error("setting up the gRPC client")]
    Grpc(#[source] tonic::transport::Error),
    /// The token has characters that no header may have.
    #[error("the token is no value of a header")]
    Token,
}

/// The bindings that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP.
    JsonRpc,
    /// HTTP with JSON.
    HttpJson,
    /// gRPC.
    Grpc,
}

impl Binding {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 3] = [Self::JsonRpc, Self::HttpJson, Self::Grpc];

    /// What cards call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => JSON_RPC,
            Self::HttpJson => HTTP_JSON,
            Self::Grpc => GRPC,
        }
    }
}

/// A client over whichever binding.
pub enum Client {
    /// Over JSON-RPC.
    JsonRpc(JsonRpcClient),
    /// Over HTTP+JSON.
    HttpJson(HttpJsonClient),
    /// Over gRPC.
    Grpc(GrpcClient),
}

impl Client {
    /// A client of this binding.
    ///
    /// # Errors
    /// If it cannot be set up; nothing is sent yet.
    pub fn new(binding: Binding, endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(match binding {
            Binding::JsonRpc => Self::JsonRpc(JsonRpcClient::new(endpoint)?),
            Binding::HttpJson => Self::HttpJson(HttpJsonClient::new(endpoint)?),
            Binding::Grpc => Self::Grpc(GrpcClient::new(endpoint)?),
        })
    }

    /// A client for the first binding of `preferred` that the card offers. Without preferences, the card's own order counts (§8.3).
    ///
    /// # Errors
    /// If the card offers none of them, its address cannot be used, or the token is not for there.
    pub fn from_card(card: &AgentCard, bearer: Option<Bearer>, preferred: &[Binding]) -> Result<Self, ClientError> {
        let of = |binding: Binding| card.interface(binding.as_str()).map(|interface| (binding, interface));
        let chosen = if preferred.is_empty() {
            let place = |interface: &AgentInterface| card.supported_interfaces.iter().position(|other| other == interface);
            Binding::ALL.into_iter().filter_map(of).min_by_key(|(_, interface)| place(interface))
        } else {
            preferred.iter().copied().find_map(of)
        };
        let wanted = if preferred.is_empty() { &Binding::ALL[..] } else { preferred };
        let (binding, interface) = chosen.ok_or_else(|| ClientError::NoInterface(wanted.to_vec()))?;
        Self::new(binding, Endpoint::of(binding, card, interface, bearer)?)
    }
}

/// Hands each operation on to the client of the binding.
macro_rules! delegate {
    ($($method:ident($request:ty) -> $reply:ty;)+) => {
        impl A2aService for Client {
            $(async fn $method(&self, caller: &Caller, request: $request) -> Result<$reply, A2aError> {
                match self {
                    Self::JsonRpc(client) => client.$method(caller, request).await,
                    Self::HttpJson(client) => client.$method(caller, request).await,
                    Self::Grpc(client) => client.$method(caller, request).await,
                }
            })+

            fn card(&self) -> AgentCard {
                match self {
                    Self::JsonRpc(client) => client.card(),
                    Self::HttpJson(client) => client.card(),
                    Self::Grpc(client) => client.card(),
                }
            }
        }
    };
}

delegate! {
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
