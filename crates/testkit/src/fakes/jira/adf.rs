//! Atlassian Document Format, as far as we write it: paragraphs, headings, lists, code, links.
//!
//! Any other node is refused, so that a new one gets its rules written down first.

use serde_json::Value;

/// Longest text of a description or comment (Jira's `jira.text.field.character.limit`).
const TEXT_CHARS_MAX: usize = 32_767;

/// Says what is wrong with a document.
pub(super) fn check(document: &Value) -> Result<(), String> {
    if document.get("type").and_then(Value::as_str) != Some("doc") {
        return Err("the top-level node is not a doc".to_owned());
    }
    if document.get("version").and_then(Value::as_u64) != Some(1) {
        return Err("version is not 1".to_owned());
    }
    let blocks = children(document, "doc")?;
    for block in blocks {
        check_block(block)?;
    }
    if text(document).chars().count() > TEXT_CHARS_MAX {
        return Err(format!("more than {TEXT_CHARS_MAX} characters"));
    }
    Ok(())
}

fn check_block(node: &Value) -> Result<(), String> {
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    let inner: fn(&Value) -> Result<(), String> = match kind {
        "paragraph" | "heading" => check_inline,
        "codeBlock" => check_code,
        "bulletList" | "orderedList" => check_item,
        "blockquote" => check_block,
        "rule" => return Ok(()),
        other => return Err(format!("unknown block {other}")),
    };
    let is_level = |level: u64| (1..=6).contains(&level);
    if kind == "heading" && !node.pointer("/attrs/level").and_then(Value::as_u64).is_some_and(is_level) {
        return Err("a heading needs a level from 1 to 6".to_owned());
    }
    if node.get("content").is_none() && matches!(kind, "paragraph" | "codeBlock") {
        return Ok(());
    }
    children(node, kind)?.iter().try_for_each(inner)
}

fn check_item(node: &Value) -> Result<(), String> {
    if node.get("type").and_then(Value::as_str) != Some("listItem") {
        return Err("a list holds listItems".to_owned());
    }
    children(node, "listItem")?.iter().try_for_each(check_block)
}

fn check_inline(node: &Value) -> Result<(), String> {
    match node.get("type").and_then(Value::as_str) {
        Some("text") => check_text(node),
        Some("hardBreak") => Ok(()),
        other => Err(format!("unknown inline node {other:?}")),
    }?;
    let marks = node.get("marks").and_then(Value::as_array).into_iter().flatten();
    for mark in marks {
        match mark.get("type").and_then(Value::as_str) {
            Some("strong" | "em" | "code" | "strike" | "underline") => {}
            Some("link") if mark.pointer("/attrs/href").is_some_and(Value::is_string) => {}
            other => return Err(format!("unknown mark {other:?}")),
        }
    }
    Ok(())
}

fn check_code(node: &Value) -> Result<(), String> {
    if node.get("marks").is_some() {
        return Err("text in a codeBlock carries no marks".to_owned());
    }
    check_text(node)
}

fn check_text(node: &Value) -> Result<(), String> {
    let is_text = node.get("type").and_then(Value::as_str) == Some("text");
    let has_text = node.get("text").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if is_text && has_text { Ok(()) } else { Err("text may not be empty".to_owned()) }
}

fn children<'a>(node: &'a Value, kind: &str) -> Result<&'a [Value], String> {
    let content = node.get("content").and_then(Value::as_array).map(Vec::as_slice);
    content.ok_or_else(|| format!("{kind} has no content"))
}

/// The text of a document, one line per block and hard break.
pub(super) fn text(node: &Value) -> String {
    let mut lines = String::new();
    collect(node, &mut lines);
    lines.trim_end_matches('\n').to_owned()
}

fn collect(node: &Value, lines: &mut String) {
    if let Some(text) = node.get("text").and_then(Value::as_str) {
        lines.push_str(text);
    }
    for child in node.get("content").and_then(Value::as_array).into_iter().flatten() {
        collect(child, lines);
    }
    if matches!(node.get("type").and_then(Value::as_str), Some("paragraph" | "heading" | "codeBlock" | "hardBreak")) {
        lines.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{check, text};
    use serde_json::json;

    #[test]
    fn documents_are_checked_and_read() {
        let paragraph = |text: &str| json!({ "type": "paragraph", "content": [{ "type": "text", "text": text }] });
        let doc = |content| json!({ "type": "doc", "version": 1, "content": content });
        let good = doc(json!([paragraph("one"), { "type": "paragraph" }, paragraph("two")]));
        assert_eq!(check(&good), Ok(()));
        assert_eq!(text(&good), "one\n\ntwo");
        for bad in [
            json!("plain text"),
            paragraph("no doc"),
            json!({ "type": "doc", "version": 2, "content": [] }),
            json!({ "type": "doc", "version": 1 }),
            doc(json!([paragraph("")])),
            doc(json!([{ "type": "text", "text": "inline at top level" }])),
            doc(json!([{ "type": "codeBlock", "content": [{ "type": "text", "text": "x", "marks": [] }] }])),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }
}
