//! A receiver of push notifications.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use a2a::StreamResponse;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use testkit::eventually;

use crate::bed::WITHIN;

/// What came, and what is to be answered.
#[derive(Clone, Default)]
pub(crate) struct Hook {
    posts: Arc<Mutex<Vec<Post>>>,
    /// Answers to the next posts; after them, all is well.
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    address: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) answer: StatusCode,
}

impl Post {
    pub(crate) fn event(&self) -> StreamResponse {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self { address: listener.local_addr().unwrap().to_string(), ..Self::default() };
        let router = Router::new().route("/{any}", post(receive)).with_state(hook.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hook
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn answer(&self, status: StatusCode, times: usize) {
        self.answers.lock().unwrap().extend(std::iter::repeat_n(status, times));
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Waits for so many posts.
    pub(crate) async fn received(&self, count: usize) -> Vec<Post> {
        let look = async || Some(self.posts()).filter(|posts| posts.len() >= count);
        eventually("posting", WITHIN, look).await.unwrap()
    }
}

async fn receive(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = hook.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::NO_CONTENT);
    hook.posts.lock().unwrap().push(Post { headers, body, answer });
    if answer.is_redirection() {
        return (answer, [(header::LOCATION, hook.url("elsewhere"))]).into_response();
    }
    answer.into_response()
}
