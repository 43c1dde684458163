//! Plain text as an Atlassian Document, the only form Jira's REST v3 takes.
//!
//! Only paragraphs and line breaks: text from outside stays text, whatever it looks like.

use serde_json::{Value, json};

/// The document of `text`: empty lines part paragraphs, single line ends are kept. Empty text
/// gives an empty paragraph, because a document needs content and a text node may not be empty.
pub(super) fn document(text: &str) -> Value {
    let text = text.replace("\r\n", "\n");
    let paragraphs: Vec<Value> =
        text.split("\n\n").map(|part| part.trim_matches('\n')).filter(|part| !part.is_empty()).map(paragraph).collect();
    let content = if paragraphs.is_empty() { vec![json!({ "type": "paragraph" })] } else { paragraphs };
    json!({ "type": "doc", "version": 1, "content": content })
}

fn paragraph(text: &str) -> Value {
    let mut content = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            content.push(json!({ "type": "hardBreak" }));
        }
        if !line.is_empty() {
            content.push(json!({ "type": "text", "text": line }));
        }
    }
    json!({ "type": "paragraph", "content": content })
}

/// The text of the last block of a document, which is where a comment's mark stands.
pub(super) fn last_line(document: &Value) -> Option<String> {
    let block = document.get("content")?.as_array()?.last()?;
    let texts = block.get("content")?.as_array()?.iter();
    Some(texts.filter_map(|node| node.get("text")?.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::{document, last_line};
    use serde_json::json;

    #[test]
    fn paragraphs_and_lines_are_kept() {
        let text = "one\r\ntwo\n\n\n\nthree";
        assert_eq!(
            document(text),
            json!({ "type": "doc", "version": 1, "content": [
                { "type": "paragraph", "content": [
                    { "type": "text", "text": "one" },
                    { "type": "hardBreak" },
                    { "type": "text", "text": "two" },
                ] },
                { "type": "paragraph", "content": [{ "type": "text", "text": "three" }] },
            ] })
        );
        assert_eq!(last_line(&document(text)).as_deref(), Some("three"));
    }

    #[test]
    fn no_text_node_is_ever_empty() {
        for text in ["", "\n", "\n\n\n", "a\n\n", "\n\nb"] {
            let written = document(text).to_string();
            assert!(!written.contains("\"text\":\"\""), "{text:?}: {written}");
        }
    }
}
