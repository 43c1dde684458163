//! Why a call to the Kubernetes API failed, by what the caller can do about it.

use kube::client::AuthError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No answer, an overloaded server, or one that fails: worth another try. Whether a change arrived is not known.
    #[error("no usable answer from kubernetes while {doing}; trying again later may help")]
    Unreachable {
        /// What we were doing.
        doing: String,
        /// What came instead of an answer.
        #[source]
        source: Source,
    },
    /// The credentials are not accepted, or there are none at the moment. Tokens are rotated and exec plugins fail for a moment, so it is
    /// worth another try. Nothing was changed.
    #[error("kubernetes does not accept our credentials while {doing}; check token and kubeconfig if this lasts")]
    Unauthorized {
        /// What we were doing.
        doing: String,
        /// What is wrong with them.
        #[source]
        source: Source,
    },
    /// The credentials lack a verb.
    #[error("kubernetes forbids {doing}: {message}; the verbs that are needed stand in the documentation of the cluster crate")]
    Forbidden {
        /// What we were doing.
        doing: String,
        /// The server's words.
        message: String,
    },
    /// The object, or its kind, does not exist.
    #[error("kubernetes knows no such object while {doing}: {message}")]
    NotFound {
        /// What we were doing.
        doing: String,
        /// The server's words.
        message: String,
    },
    /// Somebody else changed the object at the same time.
    #[error("the object was changed by someone else while {doing}: {message}")]
    Conflict {
        /// What we were doing.
        doing: String,
        /// The server's words.
        message: String,
    },
    /// The server will never accept this, or answered something that we cannot read.
    #[error("kubernetes does not accept {doing}: {message}")]
    Invalid {
        /// What we were doing.
        doing: String,
        /// The server's words, or ours.
        message: String,
    },
    /// The settings are of no use.
    #[error("cannot connect to kubernetes with {what}")]
    Config {
        /// Which settings.
        what: String,
        /// What is wrong with them.
        #[source]
        source: Source,
    },
}

impl Fault {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unauthorized { .. } | Self::Conflict { .. } => true,
            Self::Forbidden { .. } | Self::NotFound { .. } | Self::Invalid { .. } | Self::Config { .. } => false,
        }
    }

    pub(super) fn of(doing: &str, error: kube::Error) -> Self {
        let doing = doing.to_owned();
        let kube::Error::Api(status) = error else {
            return match error {
                kube::Error::SerdeError(cause) => Self::Invalid { doing, message: format!("the answer cannot be read: {cause}") },
                kube::Error::BuildRequest(cause) => Self::Invalid { doing, message: cause.to_string() },
                kube::Error::Auth(cause) => Self::Unauthorized { doing, source: told(cause) },
                other => Self::Unreachable { doing, source: other.into() },
            };
        };
        let message = status.message.clone();
        match status.code {
            401 => Self::Unauthorized { doing, source: kube::Error::Api(status).into() },
            403 => Self::Forbidden { doing, message },
            404 | 410 => Self::NotFound { doing, message },
            409 => Self::Conflict { doing, message },
            400 | 405 | 406 | 413 | 415 | 422 => Self::Invalid { doing, message },
            _ => Self::Unreachable { doing, source: kube::Error::Api(status).into() },
        }
    }
}

/// Without what an exec plugin printed: that may be a token.
fn told(cause: AuthError) -> Source {
    match cause {
        AuthError::AuthExecRun { cmd, out } => format!("auth exec command {cmd:?} failed with {}", out.status).into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    fn check(code: u16, expected: &str, retryable: bool) {
        let status = kube::core::Status { code, message: "no".to_owned(), ..kube::core::Status::default() };
        let fault = Fault::of("testing", kube::Error::Api(status.boxed()));
        let kind = format!("{fault:?}");
        assert!(kind.starts_with(expected), "{code} became {kind}");
        assert_eq!(fault.is_retryable(), retryable, "{code}");
    }

    #[test]
    fn codes_become_what_the_caller_can_do() {
        check(401, "Unauthorized", true);
        check(403, "Forbidden", false);
        check(404, "NotFound", false);
        check(409, "Conflict", true);
        check(422, "Invalid", false);
        check(429, "Unreachable", true);
        check(500, "Unreachable", true);
        check(503, "Unreachable", true);
    }

    #[test]
    fn credentials_that_fail_for_a_moment_are_tried_again_and_never_printed() {
        let out = std::process::Output {
            status: std::process::ExitStatus::from_raw(256),
            stdout: b"hunter2".to_vec(),
            stderr: b"hunter2".to_vec(),
        };
        let plugin = AuthError::AuthExecRun { cmd: "get-token".to_owned(), out: Box::new(out) };
        for cause in [AuthError::ExecPluginFailed, plugin] {
            let fault = Fault::of("testing", kube::Error::Auth(cause));
            assert!(matches!(fault, Fault::Unauthorized { .. }) && fault.is_retryable(), "{fault:?}");
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
