//! Whether the gateway is ready: as long as it can take alerts.

use axum::body::Body;
use axum::http::Request;
use bus::{Bus, Connect, User};
use incident::task::Role;
use runtime::health::{Needs, router};
use store::{Options, Store, migrate, role_url};
use tower::ServiceExt as _;

use crate::bed::SOON;

/// Status of `/readyz`, and its lines.
async fn ready(needs: &Needs) -> (u16, String) {
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    let answered = router(vec![needs.clone()]).oneshot(request).await.unwrap();
    let status = answered.status().as_u16();
    (status, String::from_utf8(axum::body::to_bytes(answered.into_body(), 4096).await.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn without_postgres_the_gateway_is_ready_and_says_what_is_missing() {
    let (nats, postgres) = tokio::join!(testkit::nats(""), testkit::private_postgres());
    let (mut nats, mut postgres) = (nats.unwrap(), postgres.unwrap());
    let password = "a-password-for-tests";
    migrate(&postgres.url(), &[(Role::Gateway, password.to_owned())]).await.unwrap();
    let url = role_url(&postgres.url(), Role::Gateway, password).unwrap();
    let store = Store::connect(&Options::new(url, Role::Gateway)).await.unwrap();
    let bus = Bus::connect(&Connect::new(nats.url(), User::Role(Role::Gateway), None)).await.unwrap();
    let needs = Needs { role: Role::Gateway, bus, store };
    let (status, lines) = ready(&needs).await;
    assert_eq!((status, lines.as_str()), (200, "gateway nats: reached\ngateway postgres: reached\n"));

    postgres.server().kill().await.unwrap();
    let (status, lines) = ready(&needs).await;
    assert!(status == 200 && lines.contains("gateway postgres: NOT reached"), "{status} {lines}");
    assert!(runtime::metrics::text().contains("paramedic_ready{part=\"postgres\",role=\"gateway\"} 0"));
    assert_eq!(ready(&Needs { role: Role::Monitoring, ..needs.clone() }).await.0, 503, "others can do nothing without it");

    nats.server().kill().await.unwrap();
    let unready = testkit::eventually("not being ready", SOON, async || (ready(&needs).await.0 == 503).then_some(()));
    unready.await.unwrap();
}
