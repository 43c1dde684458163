//! What of a value people may see: by the name that it goes by, and by what it looks like. Pure.
//!
//! What is hidden by mistake costs a look into the cluster; what is shown by mistake costs a rotated secret. So names are read widely,
//! and from the first secret on, the rest of a text is hidden with it: no quoting and no shell can then end it too early.

use serde_json::{Map, Value};

/// Stands for what is hidden.
pub(super) const HIDDEN: &str = "(hidden)";
/// Parts of names, wherever they stand.
const NAME_PARTS: [&str; 20] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "PRIVATE",
    "APIKEY",
    "COOKIE",
    "WEBHOOK",
    "AUTHORIZATION",
    "CONNECTIONSTRING",
    "CONNECTION_STRING",
    "CONN_STR",
    "DATABASE_UR",
    "DB_UR",
    "MONGO_UR",
    "MONGODB_UR",
    "REDIS_UR",
    "AMQP_UR",
];
/// Words of names: as parts they would also be found in `monkey` and `compass`. `PGPASS` and its like are told by their end.
const NAME_WORDS: [&str; 18] = [
    "PASS", "PWD", "PW", "KEY", "KEYS", "DSN", "CRED", "CREDS", "SALT", "SEED", "JWT", "PEM", "OTP", "PIN", "BEARER", "HMAC",
    "SAS", "SIG",
];
/// Words that name a secret where they end a name. `AUTH_MODE` and `CERT_DIR` are settings, and break things.
const NAME_LAST_WORDS: [&str; 5] = ["AUTH", "CERT", "CERTS", "CERTIFICATE", "SIGNATURE"];
/// Words of names whose values look random and are no secrets: what was built, and what it is the digest of.
const DIGEST_WORDS: [&str; 9] = ["IMAGE", "SHA", "COMMIT", "REVISION", "CHECKSUM", "DIGEST", "HASH", "BUILD", "VERSION"];
/// Letters and digits in one piece that are longer than this are no word and no number, but a key.
const RANDOM_CHARS_MIN: usize = 20;
/// Base64 has slashes, as paths have; so it must be this long, and have letters of both cases and digits.
const BASE64_CHARS_MIN: usize = 32;
/// Stands before a digest.
const DIGEST_MARKS: [&str; 2] = ["sha256:", "sha512:"];

/// A text that goes by a name (of a variable, a header, an annotation; empty if it has none), with its secrets hidden.
pub(super) fn masked(name: &str, text: &str) -> String {
    // Whether something is switched on, or is set at all, is worth knowing, and no secret.
    if matches!(text, "" | "true" | "false") {
        return text.to_owned();
    }
    if is_secret_name(name) { HIDDEN.to_owned() } else { masked_text(text, may_be_digest(name)) }
}

/// The same for all texts in a value.
pub(super) fn masked_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked("", text)),
        Value::Array(items) => Value::Array(masked_items(items)),
        Value::Object(fields) => Value::Object(masked_fields(fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Elements of a list. Where it is a command line, the element after `--password` is a password.
fn masked_items(items: &[Value]) -> Vec<Value> {
    let before = std::iter::once(None).chain(items.iter().map(Value::as_str));
    let masked = |(item, before): (&Value, Option<&str>)| match item.as_str() {
        Some(text) if before.is_some_and(is_secret_flag) && !text.starts_with("--") => Value::String(HIDDEN.to_owned()),
        _ => masked_value(item),
    };
    items.iter().zip(before).map(masked).collect()
}

/// Fields of an object. Names of fields are the API's own, such as `secretName`, and hide nothing; but variables and headers are
/// objects with a `name` and a `value`.
fn masked_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let called = fields.get("name").and_then(Value::as_str).unwrap_or("");
    let masked = |(key, value): (&String, &Value)| {
        let name = if key == "value" { called } else { key_that_tells(key) };
        let value = value.as_str().map_or_else(|| masked_value(value), |text| Value::String(masked(name, text)));
        (key.clone(), value)
    };
    fields.iter().map(masked).collect()
}

fn key_that_tells(key: &str) -> &str {
    if key == "image" { key } else { "" }
}

fn is_secret_flag(text: &str) -> bool {
    text.starts_with('-') && !text.contains(['=', ' ']) && is_secret_name(text)
}

fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let all = words.join("_");
    let last = words.iter().rev().find(|word| !word.chars().any(|c| c.is_ascii_digit()));
    NAME_PARTS.iter().any(|part| all.contains(part))
        || words.iter().any(|word| NAME_WORDS.contains(&word.as_str()) || is_some_pass(word))
        || last.is_some_and(|word| NAME_LAST_WORDS.contains(&word.as_str()))
}

fn is_some_pass(word: &str) -> bool {
    word.ends_with("PASS") && !matches!(word, "BYPASS" | "COMPASS")
}

fn may_be_digest(name: &str) -> bool {
    words(name).iter().any(|word| DIGEST_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit())))
}

/// `DB_PASS`, `--db-pass`, `db.pass` and `dbPass` are all `DB`, `PASS`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (before_is_lower && c.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.push(c.to_ascii_uppercase());
        }
        before_is_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn masked_text(text: &str, may_be_digest: bool) -> String {
    if text.contains("-----BEGIN ") {
        return HIDDEN.to_owned();
    }
    let text = without_userinfo(text);
    let random = if may_be_digest { None } else { random_at(&text) };
    match [assigned_at(&text), jwt_at(&text), random].into_iter().flatten().min() {
        Some(at) => format!("{}{HIDDEN}", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// URLs without `user:password@`. A password may hold any character that is not encoded, so all up to the last `@` of the URL goes.
fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let (url, more) = after.split_at(after.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(after.len()));
        // A second URL in the same word has userinfo of its own.
        let (url, more) = match url.find("://") {
            Some(next) => after.split_at(next),
            None => (url, more),
        };
        match url.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(url),
        }
        rest = more;
    }
    out.push_str(rest);
    out
}

/// Where the value begins in `password=…`, `"password": …`, `--password …` or `Bearer …`.
fn assigned_at(text: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    pieces(text, is_name).find_map(|(at, name)| {
        let end = at + name.len();
        let after = text.get(end..)?;
        let separator = after.trim_start_matches(['"', '\'', '\\', ' ']);
        let assigned = separator.starts_with('=') || (separator.starts_with(':') && !is_address(name, separator));
        if assigned && is_secret_name(name) {
            return Some(end + (after.len() - separator.len()) + 1);
        }
        let is_followed = after.starts_with(char::is_whitespace) && !after.trim().is_empty();
        let opens = is_secret_flag(name) || name.eq_ignore_ascii_case("bearer");
        (is_followed && opens).then_some(end + 1)
    })
}

/// `token-service:8080` and `token://` speak of a place; `token:8080` does not.
fn is_address(name: &str, after: &str) -> bool {
    let port = after.trim_start_matches(':');
    let rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_port = rest.len() < port.len() && !rest.starts_with(char::is_alphanumeric);
    after.starts_with("://") || (is_port && !words(name).last().is_some_and(|word| is_secret_name(word)))
}

/// A JSON Web Token begins with `{"` in base64 and has dots.
fn jwt_at(text: &str) -> Option<usize> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    pieces(text, is_token).find_map(|(at, piece)| (piece.starts_with("eyJ") && piece.contains('.')).then_some(at))
}

fn random_at(text: &str) -> Option<usize> {
    let has = |piece: &str, kind: fn(&char) -> bool| piece.chars().any(|c| kind(&c));
    let is_digest = |at: usize| DIGEST_MARKS.iter().any(|mark| text.get(..at).is_some_and(|before| before.ends_with(mark)));
    let key = pieces(text, |c| c.is_ascii_alphanumeric()).find_map(|(at, piece)| {
        let mixed = has(piece, char::is_ascii_digit) && has(piece, char::is_ascii_alphabetic);
        (piece.len() >= RANDOM_CHARS_MIN && mixed && !is_digest(at)).then_some(at)
    });
    let base64 = pieces(text, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).find_map(|(at, piece)| {
        let kinds = [char::is_ascii_digit, char::is_ascii_uppercase, char::is_ascii_lowercase];
        (piece.len() >= BASE64_CHARS_MIN && kinds.into_iter().all(|kind| has(piece, kind)) && !is_digest(at)).then_some(at)
    });
    [key, base64].into_iter().flatten().min()
}

/// Longest pieces of such characters, and where they begin.
fn pieces(text: &str, of: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (usize, &str)> {
    let ends = move |c: char| !of(c);
    let placed = move |next: &mut usize, piece: &'_ str| {
        let at = *next;
        *next += piece.len();
        Some(at)
    };
    let at = text.split_inclusive(ends).scan(0, placed);
    at.zip(text.split_inclusive(ends).map(move |piece| piece.trim_end_matches(ends))).filter(|(_, piece)| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(name: &str, text: &str, expected: &str) {
        assert_eq!(masked(name, text), expected, "{name}={text}");
    }

    #[test]
    fn names_of_secrets_are_known() {
        let secret = [
            "DATABASE_URL",
            "SMTP_PASS",
            "PGPASS",
            "SENTRY_DSN",
            "SIGNING_KEY",
            "BASIC_AUTH",
            "STRIPE_KEY_LIVE",
            "TLS_CERT",
            "SESSION_COOKIE",
            "SLACK_WEBHOOK",
            "SLACK_WEBHOOK_URL",
            "DB_PASSWORD_2",
            "stripeApiKey",
            "spring.datasource.password",
            "--db-password",
            "MYSQL_PWD",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "MONGODB_URI",
            "PROXY_AUTH_1",
            "Authorization",
        ];
        for name in secret {
            check(name, "hunter2", HIDDEN);
        }
        for name in ["MODE", "MONKEY", "COMPASS", "AUTH_MODE", "CERT_DIR", "AUTHOR", "KEYBOARD", "UPSTREAM_URL", "PING_EVERY"] {
            check(name, "hunter2", "hunter2");
        }
        check("TLS_KEY", "", "");
        check("BASIC_AUTH", "false", "false");
    }

    #[test]
    fn values_that_look_secret_are_hidden() {
        check("UPSTREAM", "postgres://app:hunter2@db:5432/shop", "postgres://(hidden)@db:5432/shop");
        check("UPSTREAM", "amqp://a:b@x,amqp://c:d/e@y", "amqp://(hidden)@x,amqp://(hidden)@y");
        check("REPO", "https://ghp@git.example/x", "https://(hidden)@git.example/x");
        check("X", "-----BEGIN RSA PRIVATE KEY-----\nabc", HIDDEN);
        check("X", "a eyJhbGciOi.eyJzdWIi.c2ln", "a (hidden)");
        check("X", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_(hidden)");
        check("X", "0123456789abcdef0123456789abcdef", HIDDEN);
        check("X", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", HIDDEN);
        check("X", "https://hooks.example/T0/B0/XXXXXXXXXXXXXXXXXXXXXXX1", "https://hooks.(hidden)");
        check("X", "password:1234", "password:(hidden)");
        check("JAVA_OPTS", "-Xmx1g -Ddb.password=x -Da=b", "-Xmx1g -Ddb.password=(hidden)");
        check("X", r#"{"user":"a","password":"b c"}"#, r#"{"user":"a","password":(hidden)"#);
        check("X", "host=db password='a b' dbname=c", "host=db password=(hidden)");
        check("X", "https://x/y?a=b&access_token=c", "https://x/y?a=b&access_token=(hidden)");
        check("X", "https://x/y?se=2026&sig=c%3D", "https://x/y?se=2026&sig=(hidden)");
        check("X", "curl -H 'Authorization: Bearer abc'", "curl -H 'Authorization:(hidden)");
        check("X", "app --password hunter2 --fast", "app --password (hidden)");
    }

    #[test]
    fn values_that_tell_what_runs_are_shown() {
        let digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let shown = [
            ("image", format!("registry:5000/shop/web:{commit}")),
            ("SIDECAR", format!("registry:5000/shop/web@sha256:{digest}")),
            ("GIT_COMMIT", commit.to_owned()),
            ("checksum/config", digest.to_owned()),
            ("TENANT", "8f14e45f-ceea-4c5b-9f3e-1a2b3c4d5e6f".to_owned()),
            ("UPSTREAM", "http://auth.shop.svc.cluster.local:8080/a-b?x=1".to_owned()),
            ("UPSTREAM", "token-service:8080".to_owned()),
            ("CONFIG", "/etc/config/app-v2/settings.production.yaml".to_owned()),
            ("AT", "2026-01-01T12:00:00Z".to_owned()),
            ("CLASS", "com.example.checkout.CheckoutServiceImplementation".to_owned()),
        ];
        for (name, text) in shown {
            check(name, &text, &text);
        }
    }

    #[test]
    fn command_lines_and_lists_hide_only_the_secret_part() {
        let check = |value: &Value, expected: &Value| assert_eq!(&masked_value(value), expected);
        check(&json!(["--db-password=hunter2", "-v"]), &json!(["--db-password=(hidden)", "-v"]));
        check(&json!(["--password", "hunter2", "--fast"]), &json!(["--password", "(hidden)", "--fast"]));
        check(&json!(["--no-auth", "--fast"]), &json!(["--no-auth", "--fast"]));
        check(&json!(["sh", "-c", "X_TOKEN=a run"]), &json!(["sh", "-c", "X_TOKEN=(hidden)"]));
        check(&json!([{"name": "A_KEY", "value": "x"}]), &json!([{"name": "A_KEY", "value": "(hidden)"}]));
        check(&json!([{"secretRef": {"name": "db-password"}}]), &json!([{"secretRef": {"name": "db-password"}}]));
        check(&json!({"secret": {"secretName": "db-1"}, "port": 1}), &json!({"secret": {"secretName": "db-1"}, "port": 1}));
    }
}
