//! Who may come in. A binding asks here before it reads anything but the headers.

use a2a::{A2aError, Caller, ErrorKind};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// Finds out who calls.
pub trait Authenticate: Send + Sync + 'static {
    /// Tenant and sender of the one who sent these headers. What the caller declares of extensions is added later.
    ///
    /// # Errors
    /// Unauthenticated, in the same words whatever is wrong.
    fn authenticate(&self, headers: &HeaderMap) -> impl Future<Output = Result<Caller, A2aError>> + Send;
}

/// Callers who are known by bearer tokens.
#[derive(Default)]
pub struct BearerTokens {
    known: Vec<([u8; 32], Caller)>,
}

impl BearerTokens {
    /// Adds a caller. Only the token's digest is kept.
    #[must_use]
    pub fn with(mut self, token: &str, tenant: &str, sender: &str) -> Self {
        let caller = Caller { tenant: tenant.to_owned(), sender: sender.to_owned(), ..Caller::default() };
        self.known.push((digest(token), caller));
        self
    }

    /// Compares digests, and all of them, so that the time tells neither how much of a token is right nor whose it is.
    fn find(&self, token: &str) -> Option<&Caller> {
        let given = digest(token);
        let (mut place, mut found) = (0_u32, Choice::from(0));
        for (n, (known, _)) in (0_u32..).zip(&self.known) {
            let is_theirs = known.as_slice().ct_eq(given.as_slice());
            place.conditional_assign(&n, is_theirs);
            found |= is_theirs;
        }
        let (_, caller) = self.known.get(usize::try_from(place).ok()?)?;
        bool::from(found).then_some(caller)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Authenticate for BearerTokens {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, A2aError> {
        let found = bearer(headers).and_then(|token| self.find(token)).cloned();
        found.ok_or_else(|| {
            A2aError::new(ErrorKind::Unauthenticated, "send `Authorization: Bearer TOKEN` with a token that is known here")
        })
    }
}

/// The bearer token (RFC 6750, section 2.1), unless there is none or more than one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Lets everybody in as this one caller. For agents that hold nothing of value, as the conformance agent.
#[derive(Debug, Clone)]
pub struct Open(pub Caller);

impl Authenticate for Open {
    async fn authenticate(&self, _: &HeaderMap) -> Result<Caller, A2aError> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_tell_callers_apart_and_nothing_else_lets_in() {
        let doors = BearerTokens::default().with("a", "acme", "ann").with("b", "blue", "bob");
        let who = async |values: &[&str]| {
            let headers = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect::<Vec<_>>();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            doors.authenticate(&map).await.map(|caller| caller.sender).map_err(|error| error.kind)
        };
        assert_eq!(who(&["Bearer a"]).await, Ok("ann".to_owned()));
        assert_eq!(who(&["bearer  b "]).await, Ok("bob".to_owned()));
        for wrong in [&["Bearer c"][..], &["Bearer"], &["Basic a"], &["a"], &["Bearer a", "Bearer b"], &[], &["Bearer "]] {
            assert_eq!(who(wrong).await, Err(ErrorKind::Unauthenticated), "{wrong:?}");
        }
        assert!(BearerTokens::default().find("").is_none());
    }
}
