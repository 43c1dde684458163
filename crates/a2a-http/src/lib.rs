//! A2A over HTTP: JSON-RPC, HTTP+JSON with server-sent events, and gRPC, each as server and client of one trait,
//! [`a2a::A2aService`].
//!
//! This crate owns how requests and answers travel, who may call, and how much of everything a caller may take. It knows no tasks: what
//! an operation does is the service's matter.

pub mod client;
mod grpc;
mod operation;
pub mod serve;
pub mod server;

pub use client::{Bearer, Binding, Client, ClientError, Endpoint, GrpcClient, HttpJsonClient, JsonRpcClient, fetch_card};
pub use serve::serve;
pub use server::{Authenticate, BearerTokens, CardOptions, Open, Options, bearer, card_route, router};
