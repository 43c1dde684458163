//! Bodies of the largest size that a door lets in, each made to become as large as it can in memory. libFuzzer's inputs are too short to
//! show that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fuzz::{a2a, slack, webhook};

/// Bytes of a webhook, and of a call of A2A.
const BODY: usize = 4 * 1024 * 1024;
/// Bytes of an interaction.
const CLICK: usize = 1024 * 1024;
/// KiB that one may take beyond what was taken before: the body, its making, and that it is read, written and read again here, which no
/// door does.
const KIB_MAX: u64 = 64 * 1024;

/// `head`, then as many of `element` as there is room for, then `tail`.
fn filled(head: &str, element: &str, tail: &str, size: usize) -> Vec<u8> {
    let count = (size - head.len() - tail.len()) / (element.len() + 1);
    let body = format!("{head}{}{tail}", vec![element; count].join(","));
    assert!(body.len() <= size && body.len() + element.len() + 1 >= size);
    body.into_bytes()
}

/// As [`filled`], with elements that have a number each.
fn numbered(head: &str, element: impl Fn(usize) -> String, tail: &str, size: usize) -> Vec<u8> {
    let mut body = head.to_owned();
    for n in 0.. {
        let next = element(n);
        if body.len() + next.len() + 1 + tail.len() > size {
            break;
        }
        body.push_str(if n == 0 { "" } else { "," });
        body.push_str(&next);
    }
    (body + tail).into_bytes()
}

/// The most that this process has ever taken, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn check(run: fn(&[u8]) -> bool, cases: Vec<(&str, Vec<u8>)>) {
    let mut broken = vec![];
    for (name, body) in cases {
        let before = peak_kib();
        run(&body);
        let took = peak_kib() - before;
        eprintln!("{name}: {} KiB for a body of {} KiB", took, body.len() / 1024);
        if took > KIB_MAX {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "these take too much: {broken:?}");
}

#[test]
fn webhooks_take_little_memory() {
    let head = r#"{"version":"4","status":"firing","groupKey":"{}","#;
    let entry = r#"{"status":"firing","fingerprint":"a","startsAt":"2026-11-23T05:00:00Z","labels":"#;
    let cases = vec![
        ("alerts that say nothing", filled(&format!("{head}\"alerts\":["), "{}", "]}", BODY)),
        ("alerts that are none", filled(&format!("{head}\"alerts\":["), "1", "]}", BODY)),
        ("alerts that say little", filled(&format!("{head}\"alerts\":["), &format!("{entry}{{\"a\":\"b\"}}}}"), "]}", BODY)),
        ("labels", numbered(&format!("{head}\"alerts\":[{entry}{{"), |n| format!("\"{n}\":\"\""), "}}]}", BODY)),
        ("unknown keys", numbered(&format!("{head}\"alerts\":[],"), |n| format!("\"{n}\":[]"), "}", BODY)),
        ("nothing but brackets", vec![b'['; BODY]),
        ("a text of escapes", filled(&format!("{head}\"alerts\":[],\"receiver\":\""), r"\n", "\"}", BODY)),
    ];
    check(webhook::run, cases);
}

#[test]
fn clicks_take_little_memory() {
    let head = "1795410000\nv0=00\n";
    let cases = vec![
        ("actions", filled(&format!("{head}payload={{\"type\":\"block_actions\",\"actions\":["), "{}", "]}", CLICK)),
        ("fields", format!("{head}{}payload=1", "a&".repeat(CLICK / 2)).into_bytes()),
        ("percents", format!("{head}payload=%22{}%22", "%41".repeat(CLICK / 3)).into_bytes()),
    ];
    check(slack::run, cases);
}

#[test]
fn messages_take_little_memory() {
    let head = r#"{"message":{"messageId":"m","role":"ROLE_USER","#;
    let send = format!("SendMessageRequest\n{head}");
    let rpc = format!("rpc\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{head}");
    let cases = vec![
        ("parts", filled(&format!("{send}\"parts\":["), r#"{"text":""}"#, "]}}", BODY)),
        ("parts of a call", filled(&format!("{rpc}\"parts\":["), r#"{"text":""}"#, "]}}}", BODY)),
        ("extensions", filled(&format!("{send}\"parts\":[],\"extensions\":["), r#""""#, "]}}", BODY)),
        ("data", filled(&format!("{send}\"parts\":[{{\"data\":["), "[]", "]}]}}", BODY)),
        ("metadata", numbered(&format!("{send}\"parts\":[],\"metadata\":{{"), |n| format!("\"{n}\":0"), "}}}", BODY)),
        ("metadata of a call", numbered(&format!("{rpc}\"parts\":[],\"metadata\":{{"), |n| format!("\"{n}\":0"), "}}}}", BODY)),
        ("data of small objects", filled(&format!("{send}\"parts\":[{{\"data\":["), r#"{"":0}"#, "]}]}}", BODY)),
        ("an odd call", filled("rpc\n{\"jsonrpc\":\"1.0\",\"id\":1,\"params\":[", r#"{"":0}"#, "]}", BODY)),
        ("an id of small objects", filled("rpc\n{\"id\":[", r#"{"":0}"#, "]}", BODY)),
        ("params", filled("rpc\n{\"params\":[", "[]", "]}", BODY)),
    ];
    check(a2a::run, cases);
}
