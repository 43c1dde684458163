//! Connections: as A2A's server keeps them, within its bounds ([`a2a_http::serve`]).

use axum::Router;
use runtime::lifecycle::Lifecycle;
use tokio::net::TcpListener;

/// Answers connections until a stop is asked for; then takes no more, and those open end after the request that they are at.
///
/// # Errors
/// None: what goes wrong with one connection is that connection's.
pub async fn serve(router: Router, listener: TcpListener, life: Lifecycle) -> anyhow::Result<()> {
    a2a_http::serve(listener, router, life.stopping()).await;
    Ok(())
}
