//! Pod templates: their canonical form, and what differs between two of them in words that people can judge.
//!
//! What is shown here ends up in evidence, in diffs and in chat. So secrets are hidden (`secrets` says what is one), long values are cut
//! (with a digest, so that two different ones never look equal), and control characters are escaped, so that no value can pretend to be
//! another line of the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use incident::evidence::FieldChange;
use incident::plan::{Digest, Template};
use serde_json::{Map, Value};

use super::secrets::{self, HIDDEN};

/// Label that the Deployment controller adds to a ReplicaSet's template; it is not part of what was asked for.
const HASH_LABEL: &str = "pod-template-hash";
/// A value that is longer fills a chat message by itself.
const VALUE_CHARS_MAX: usize = 200;
/// What is shown of a value that is too long.
const VALUE_CHARS_SHOWN: usize = 120;

/// Without null values: servers before and after 1.33 differ in whether they write `creationTimestamp: null`, and it means nothing.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The template of a ReplicaSet, as its Deployment once had it.
pub(super) fn of_replica_set(set: &Value) -> Option<Value> {
    let mut template = without_nulls(set.get("spec")?.get("template")?);
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    Some(template)
}

/// Canonical JSON text.
pub(super) fn canonical(template: &Value) -> Result<Template, String> {
    let text = serde_json_canonicalizer::to_string(template);
    text.map(Template).map_err(|e| format!("the pod template has no canonical form: {e}"))
}

/// What differs, images first, then environment, then resources, then the rest, each in the order of the paths.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    for change in &mut found {
        // The pod's spec is what people mean: `containers[web].image`, not `spec.containers[web].image`.
        if let Some(short) = change.path.strip_prefix("spec.") {
            change.path = short.to_owned();
        }
    }
    found.sort_by(|a, b| (rank(&a.path), &a.path).cmp(&(rank(&b.path), &b.path)));
    found
}

fn rank(path: &str) -> u8 {
    if path.ends_with("].image") {
        0
    } else if path.contains(".env[") || path.contains(".envFrom") {
        1
    } else if path.contains(".resources.") {
        2
    } else {
        3
    }
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Some(before), Some(after)) = (as_object(before), as_object(after)) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        if !keys.is_empty() {
            for key in keys {
                compare(&child(path, key), before.get(key), after.get(key), found);
            }
            return;
        }
    }
    if let (Some(before), Some(after)) = (as_named(path, before), as_named(path, after))
        && !(before.is_empty() && after.is_empty())
    {
        compare_named(path, &before, &after, found);
        return;
    }
    let show = |value: &Value| show(path, value);
    found.push(change(path, before.map(show), after.map(show)));
}

/// A change between values that differ, even where what may be shown of them does not.
fn change(path: &str, from: Option<String>, to: Option<String>) -> FieldChange {
    let to = match to {
        Some(to) if from.as_ref() != Some(&to) => Some(to),
        Some(to) if to == HIDDEN => Some("(hidden, another value)".to_owned()),
        Some(to) => Some(format!("{to} (hidden, another value)")),
        None => None,
    };
    FieldChange { path: path.to_owned(), from, to }
}

/// What an element of a list is found by: its name, and how many before it have the same. Some lists, such as `env`, may name a thing
/// twice, and the last one counts.
type Key = (String, usize);
type Named<'a> = Vec<(Key, &'a Value)>;

fn compare_named(path: &str, before: &Named<'_>, after: &Named<'_>, found: &mut Vec<FieldChange>) {
    let keys: BTreeSet<&Key> = before.iter().chain(after).map(|(key, _)| key).collect();
    for key in keys {
        let (old, new) = (find(before, key), find(after, key));
        let path = format!("{path}[{}]", label(key));
        if path.contains(".env[") || path.contains(".httpHeaders[") {
            compare_variable(&path, &key.0, old, new, found);
        } else {
            compare(&path, old, new, found);
        }
    }
    let kept = |list: &Named<'_>, other: &Named<'_>| -> Vec<String> {
        list.iter().filter(|(key, _)| find(other, key).is_some()).map(|(key, _)| label(key)).collect()
    };
    let (old, new) = (kept(before, after), kept(after, before));
    if old != new {
        let (from, to) = (Some(cut(&old.join(", "))), Some(cut(&new.join(", "))));
        found.push(FieldChange { path: format!("{path} (order)"), from, to });
    }
}

fn find<'a>(list: &Named<'a>, key: &Key) -> Option<&'a Value> {
    list.iter().find(|(k, _)| k == key).map(|(_, value)| *value)
}

fn label((name, before): &Key) -> String {
    let name = plain(name);
    if *before == 0 { name } else { format!("{name} #{}", before + 1) }
}

fn compare_variable(path: &str, name: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let show = |value: &Value| show_variable(name, value);
    found.push(change(path, before.map(show), after.map(show)));
}

fn show_variable(name: &str, entry: &Value) -> String {
    if let Some(source) = entry.get("valueFrom").and_then(Value::as_object) {
        let Some((kind, reference)) = source.iter().next() else { return "(no value)".to_owned() };
        let field = |key: &str| reference.get(key).and_then(Value::as_str);
        return match (field("name"), field("key")) {
            (Some(object), Some(key)) => cut(&format!("{kind} {object}/{key}")),
            _ => cut(&format!("{kind} {reference}")),
        };
    }
    cut(&secrets::masked(name, entry.get("value").and_then(Value::as_str).unwrap_or("")))
}

/// An absent object compares like an empty one, so that what appears is listed field by field.
fn as_object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    match value {
        None => Some(&EMPTY),
        Some(value) => value.as_object(),
    }
}

/// The elements of a list by the key that Kubernetes merges such lists by; none if it is not such a list.
fn as_named<'a>(path: &str, value: Option<&'a Value>) -> Option<Named<'a>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let mut named: Named<'a> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for item in value.as_array()? {
        let name = name_of(path, item)?;
        let count = seen.entry(name.clone()).or_default();
        named.push(((name, *count), item));
        *count += 1;
    }
    Some(named)
}

fn name_of(path: &str, item: &Value) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    match path.rsplit('.').next() {
        Some("volumeMounts") => text("mountPath"),
        Some("ports") => {
            let port = item.get("containerPort")?;
            Some(format!("{port}/{}", text("protocol").unwrap_or_else(|| "TCP".to_owned())))
        }
        _ => text("name"),
    }
}

fn child(path: &str, key: &str) -> String {
    let key = plain(key);
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key,
        (false, true) => format!("{path}[{key}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

fn show(path: &str, value: &Value) -> String {
    match value {
        Value::String(text) => cut(&secrets::masked(name_in(path), text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            cut(&secrets::masked_value(value).to_string())
        }
    }
}

/// The part of a path that says what its text is: people choose names of annotations; names of fields are the API's and tell nothing.
fn name_in(path: &str) -> &str {
    match path.rsplit_once("annotations") {
        Some((_, key)) => key,
        None if path.ends_with("].image") => "image",
        None => "",
    }
}

/// Bounded, and on one line.
fn cut(text: &str) -> String {
    let length = text.chars().count();
    if length <= VALUE_CHARS_MAX {
        return plain(text);
    }
    let shown: String = text.chars().take(VALUE_CHARS_SHOWN).collect();
    format!("{}… ({length} characters, sha256 {})", plain(&shown), Digest::of(text.as_bytes()).short())
}

/// Control characters, and those that turn the direction of text, as escapes.
pub(super) fn plain(text: &str) -> String {
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(change: &FieldChange) -> String {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        format!("{}: {} → {}", change.path, side(&change.from), side(&change.to))
    }

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        changes(before, after).iter().map(line).collect()
    }

    fn pod(container: &Value) -> Value {
        json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}})
    }

    #[test]
    fn images_come_first_and_paths_read_well() {
        let before = pod(&json!({"name": "web", "image": "shop:v1", "resources": {"limits": {"memory": "64Mi"}},
            "env": [{"name": "MODE", "value": "a"}]}));
        let after = pod(&json!({"name": "web", "image": "shop:v2", "resources": {"limits": {"memory": "32Mi"}},
            "env": [{"name": "MODE", "value": "b"}, {"name": "EXTRA", "value": ""}]}));
        assert_eq!(
            lines(&before, &after),
            [
                "containers[web].image: shop:v1 → shop:v2",
                "containers[web].env[EXTRA]: (none) → ",
                "containers[web].env[MODE]: a → b",
                "containers[web].resources.limits.memory: 64Mi → 32Mi",
            ]
        );
    }

    #[test]
    fn secrets_stay_references_and_hidden_values_still_differ() {
        let env = |entry: &Value| pod(&json!({"name": "web", "env": [entry]}));
        let from_secret = |key| env(&json!({"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": key}}}));
        assert_eq!(
            lines(&from_secret("old"), &from_secret("new")),
            ["containers[web].env[DB]: secretKeyRef db/old → secretKeyRef db/new"]
        );
        let plain = |value| env(&json!({"name": "STRIPE_TOKEN", "value": value}));
        assert_eq!(
            lines(&plain("s3cr3t"), &plain("0th3r")),
            ["containers[web].env[STRIPE_TOKEN]: (hidden) → (hidden, another value)"]
        );
    }

    /// `(path, before, after)` of each change.
    fn check_env(before: &Value, after: &Value, expected: &[(&str, &str, &str)]) {
        let env = |list: &Value| pod(&json!({"name": "web", "env": list}));
        let expected: Vec<String> = expected.iter().map(|(key, a, b)| format!("containers[web].env{key}: {a} → {b}")).collect();
        assert_eq!(lines(&env(before), &env(after)), expected);
    }

    #[test]
    fn a_variable_that_stands_twice_is_compared_by_itself() {
        let entry = |name: &str, value: &str| json!({"name": name, "value": value});
        let before = json!([entry("DB_PASS", "a"), entry("MODE", "x"), entry("MODE", "y"), entry("SMTP_PASS", "b")]);
        let after = json!([entry("DB_PASS", "a"), entry("MODE", "x"), entry("MODE", "z"), entry("SMTP_PASS", "c")]);
        let expected = [("[MODE #2]", "y", "z"), ("[SMTP_PASS]", HIDDEN, "(hidden, another value)")];
        check_env(&before, &after, &expected);
        let once = json!([entry("DB_PASS", "a"), entry("MODE", "x"), entry("SMTP_PASS", "b")]);
        check_env(&before, &once, &[("[MODE #2]", "y", "(none)")]);
        let turned = json!([entry("DB_PASS", "a"), entry("SMTP_PASS", "b"), entry("MODE", "x"), entry("MODE", "y")]);
        let order = ("DB_PASS, MODE, MODE #2, SMTP_PASS", "DB_PASS, SMTP_PASS, MODE, MODE #2");
        check_env(&before, &turned, &[(" (order)", order.0, order.1)]);
    }

    #[test]
    fn secrets_outside_of_variables_are_hidden_and_still_differ() {
        let check = |before: &Value, after: &Value, expected: &[&str]| assert_eq!(lines(&pod(before), &pod(after)), expected);
        let args = |password: &str| json!({"name": "web", "args": [format!("--db-password={password}"), "-v"]});
        let shown = r#"["--db-password=(hidden)","-v"]"#;
        check(&args("a"), &args("b"), &[&format!("containers[web].args: {shown} → {shown} (hidden, another value)")]);
        let header = |value: &str| {
            let headers = json!([{"name": "Authorization", "value": value}]);
            json!({"name": "web", "livenessProbe": {"httpGet": {"httpHeaders": headers}}})
        };
        let path = "containers[web].livenessProbe.httpGet.httpHeaders[Authorization]";
        check(&header("a"), &header("b"), &[&format!("{path}: (hidden) → (hidden, another value)")]);
        let annotated =
            |value: &str| json!({"metadata": {"annotations": {"x.example/api-key": value, "checksum/config": value}}});
        let (a, b) = ("0123456789abcdef0123456789abcdef", "f123456789abcdef0123456789abcdef");
        assert_eq!(
            lines(&annotated(a), &annotated(b)),
            [
                format!("metadata.annotations[checksum/config]: {a} → {b}"),
                "metadata.annotations[x.example/api-key]: (hidden) → (hidden, another value)".to_owned(),
            ]
        );
        let volume = |name: &str| json!({"spec": {"volumes": [{"name": "v", "secret": {"secretName": name}}]}});
        assert_eq!(lines(&volume("db-1"), &volume("db-2")), ["volumes[v].secret.secretName: db-1 → db-2"]);
    }

    #[test]
    fn long_values_that_differ_at_the_end_never_look_equal() {
        let with = |end: &str| pod(&json!({"name": "web", "command": [format!("{}{end}", "x".repeat(5_000))]}));
        let found = changes(&with("a"), &with("b"));
        assert_eq!(found.len(), 1);
        assert_ne!(found[0].from, found[0].to);
        assert!(line(&found[0]).chars().count() < 500);
    }

    #[test]
    fn a_value_cannot_pretend_to_be_another_line() {
        let with = |value: &str| pod(&json!({"name": "web", "image": value}));
        let shown = lines(&with("shop:v1"), &with("shop:v2\nreplicas: 3 → 3\u{202e}"));
        assert_eq!(shown, ["containers[web].image: shop:v1 → shop:v2\\nreplicas: 3 → 3\\u{202e}"]);
    }

    #[test]
    fn order_and_unnamed_lists_are_seen() {
        let two = |a: &str, b: &str| json!({"spec": {"initContainers": [{"name": a}, {"name": b}]}});
        assert_eq!(lines(&two("a", "b"), &two("b", "a")), ["initContainers (order): a, b → b, a"]);
        let args = |list: &Value| pod(&json!({"name": "web", "args": list}));
        assert_eq!(lines(&args(&json!(["-a"])), &args(&json!(["-b"]))), ["containers[web].args: [\"-a\"] → [\"-b\"]"]);
    }

    #[test]
    fn annotations_and_whole_containers_are_listed_by_field() {
        let before = json!({"metadata": {}, "spec": {"containers": []}});
        let after = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
            "spec": {"containers": [{"name": "web", "image": "a"}]}});
        assert_eq!(
            lines(&before, &after),
            [
                "containers[web].image: (none) → a",
                "containers[web].name: (none) → web",
                "metadata.annotations[kubectl.kubernetes.io/restartedAt]: (none) → now",
            ]
        );
    }

    #[test]
    fn a_replica_sets_template_loses_its_hash_and_nulls() {
        let set = json!({"spec": {"template": {"metadata": {"creationTimestamp": null, "labels": {"app": "a", "pod-template-hash": "x"}}}}});
        assert_eq!(of_replica_set(&set), Some(json!({"metadata": {"labels": {"app": "a"}}})));
    }
}
