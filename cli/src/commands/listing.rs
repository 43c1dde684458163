//! Listings that never end in silence: page after page up to a bound, and where the bound is hit, how to go on.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use crate::api::Api;

/// Items of a page: as many as the gateway gives at once.
const PAGE: usize = 200;
/// Pages that one command reads: thousands of items, more than anybody reads, and still seconds.
const PAGES_MAX: usize = 20;

/// Items, and where the rest begins. A page of the API has this form, and so has what commands print as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listing<T> {
    /// In order.
    pub(crate) items: Vec<T>,
    /// Where the rest begins, for `--after`. None: this is all.
    pub(crate) next: Option<String>,
}

/// Where a listing is.
pub(crate) struct Place<'a> {
    /// Path with a query, to which the page is added.
    pub(crate) path: &'a str,
    /// The end of the page before the first one that is wanted.
    pub(crate) after: Option<String>,
}

/// Follows the pages.
pub(crate) async fn read<T: DeserializeOwned>(api: &Api, place: Place<'_>) -> anyhow::Result<Listing<T>> {
    let Place { path, after: mut next } = place;
    let mut items = Vec::new();
    for _ in 0..PAGES_MAX {
        let sign = if path.contains('?') { '&' } else { '?' };
        let after = next.as_ref().map(|next| format!("&cursor={}", byte_serialize(next.as_bytes()).collect::<String>()));
        let page: Listing<T> = api.get(&format!("{path}{sign}limit={PAGE}{}", after.unwrap_or_default())).await?;
        items.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(Listing { items, next })
}

impl<T> Listing<T> {
    /// What `text` makes of the items, and `command` with where to go on, if there is more.
    pub(crate) fn told(&self, command: &str, text: impl FnOnce(&[T]) -> String) -> String {
        let more = self.next.as_ref().map(|next| format!("\n\nmore: {command} --after {next}"));
        format!("{}{}", text(&self.items), more.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::extract::{Query, State};
    use axum::routing::get;
    use axum::{Json, Router};

    use super::*;

    /// A listing of `pages` pages with one number each, as the gateway would serve it.
    async fn served(pages: usize) -> (Api, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let page = move |State(asked): State<Arc<AtomicUsize>>, Query(query): Query<HashMap<String, String>>| async move {
            asked.fetch_add(1, Ordering::Relaxed);
            let n: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
            Json(Listing { items: vec![n], next: (n + 1 < pages).then(|| (n + 1).to_string()) })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/numbers", get(page)).with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        (Api::at(&url, "token".to_owned()).unwrap(), asked)
    }

    fn place() -> Place<'static> {
        Place { path: "numbers?state=any", after: None }
    }

    #[tokio::test]
    async fn every_page_is_read() {
        let (api, _) = served(3).await;
        let all: Listing<usize> = read(&api, place()).await.unwrap();
        assert_eq!((all.items.as_slice(), &all.next), ([0, 1, 2].as_slice(), &None));
        assert_eq!(all.told("list", |items| items.len().to_string()), "3");
    }

    #[tokio::test]
    async fn what_lies_beyond_the_bound_is_said() {
        let (api, asked) = served(PAGES_MAX + 5).await;
        let some: Listing<usize> = read(&api, place()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), PAGES_MAX);
        assert_eq!(some.told("list", |items| items.len().to_string()), "20\n\nmore: list --after 20");
        let rest: Listing<usize> = read(&api, Place { after: some.next, ..place() }).await.unwrap();
        assert_eq!(rest.items, [20, 21, 22, 23, 24]);
    }
}
