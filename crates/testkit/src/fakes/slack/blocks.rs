//! Block Kit's published limits (docs.slack.dev, "Block Kit" reference).

use std::collections::HashSet;

use serde_json::Value;

const BLOCKS_MAX: usize = 50;
const ID_CHARS_MAX: usize = 255;
const SECTION_TEXT_MAX: usize = 3_000;
const SECTION_FIELDS_MAX: usize = 10;
const FIELD_TEXT_MAX: usize = 2_000;
const HEADER_TEXT_MAX: usize = 150;
const CONTEXT_ELEMENTS_MAX: usize = 10;
const ACTION_ELEMENTS_MAX: usize = 25;
const BUTTON_TEXT_MAX: usize = 75;
const BUTTON_VALUE_MAX: usize = 2_000;
const URL_MAX: usize = 3_000;
const CONFIRM_TITLE_MAX: usize = 100;
const CONFIRM_TEXT_MAX: usize = 300;
const CONFIRM_BUTTON_MAX: usize = 30;

/// Says what breaks a rule, with its place, as Slack's `response_metadata.messages` does.
pub(super) fn check(blocks: &Value) -> Result<(), String> {
    let Some(list) = blocks.as_array() else {
        return Err("must be an array [json-pointer:/blocks]".to_owned());
    };
    if list.len() > BLOCKS_MAX {
        return Err(format!("no more than {BLOCKS_MAX} items allowed [json-pointer:/blocks]"));
    }
    let mut ids = HashSet::new();
    for (index, block) in list.iter().enumerate() {
        let place = format!("/blocks/{index}");
        if let Some(id) = optional_text(block, "block_id", ID_CHARS_MAX, &place)?
            && !ids.insert(id.to_owned())
        {
            return Err(format!("block_id {id} is used twice [json-pointer:{place}/block_id]"));
        }
        check_block(block, &place)?;
    }
    Ok(())
}

fn check_block(block: &Value, place: &str) -> Result<(), String> {
    match block.get("type").and_then(Value::as_str) {
        Some("section") => check_section(block, place),
        Some("header") => check_text(block, "text", &["plain_text"], HEADER_TEXT_MAX, place),
        Some("divider") => Ok(()),
        Some("context") => {
            for (element, place) in elements(block, CONTEXT_ELEMENTS_MAX, place)? {
                match element.get("type").and_then(Value::as_str) {
                    Some("image") => require(element, "image_url", &place)?,
                    _ => check_text_object(element, &["plain_text", "mrkdwn"], FIELD_TEXT_MAX, &place)?,
                }
            }
            Ok(())
        }
        Some("actions") => {
            let mut ids = HashSet::new();
            for (element, place) in elements(block, ACTION_ELEMENTS_MAX, place)? {
                check_button(element, &place)?;
                let id = element.get("action_id").and_then(Value::as_str).unwrap_or_default();
                if !id.is_empty() && !ids.insert(id) {
                    return Err(format!("action_id {id} is used twice [json-pointer:{place}]"));
                }
            }
            Ok(())
        }
        Some("image") => {
            require(block, "image_url", place)?;
            require(block, "alt_text", place)
        }
        other => Err(format!("unsupported type: {other:?} [json-pointer:{place}/type]")),
    }
}

fn check_section(block: &Value, place: &str) -> Result<(), String> {
    let kinds = ["plain_text", "mrkdwn"];
    let fields = block.get("fields").and_then(Value::as_array);
    if block.get("text").is_none() && fields.is_none() {
        return Err(format!("missing required field: text [json-pointer:{place}]"));
    }
    if block.get("text").is_some() {
        check_text(block, "text", &kinds, SECTION_TEXT_MAX, place)?;
    }
    let fields = fields.map(Vec::as_slice).unwrap_or_default();
    if fields.len() > SECTION_FIELDS_MAX {
        return Err(format!("no more than {SECTION_FIELDS_MAX} fields [json-pointer:{place}/fields]"));
    }
    for (index, field) in fields.iter().enumerate() {
        check_text_object(field, &kinds, FIELD_TEXT_MAX, &format!("{place}/fields/{index}"))?;
    }
    match block.get("accessory") {
        Some(accessory) => check_button(accessory, &format!("{place}/accessory")),
        None => Ok(()),
    }
}

/// Buttons are the only interactive element Paramedic uses; any other is refused, so that a new
/// one gets its rules written down first.
fn check_button(element: &Value, place: &str) -> Result<(), String> {
    if element.get("type").and_then(Value::as_str) != Some("button") {
        return Err(format!("unsupported element [json-pointer:{place}/type]"));
    }
    check_text(element, "text", &["plain_text"], BUTTON_TEXT_MAX, place)?;
    optional_text(element, "action_id", ID_CHARS_MAX, place)?;
    optional_text(element, "value", BUTTON_VALUE_MAX, place)?;
    optional_text(element, "url", URL_MAX, place)?;
    if let Some(style) = element.get("style")
        && !matches!(style.as_str(), Some("primary" | "danger"))
    {
        return Err(format!("must be primary or danger [json-pointer:{place}/style]"));
    }
    let Some(confirm) = element.get("confirm") else { return Ok(()) };
    let place = format!("{place}/confirm");
    check_text(confirm, "title", &["plain_text"], CONFIRM_TITLE_MAX, &place)?;
    check_text(confirm, "text", &["plain_text", "mrkdwn"], CONFIRM_TEXT_MAX, &place)?;
    check_text(confirm, "confirm", &["plain_text"], CONFIRM_BUTTON_MAX, &place)?;
    check_text(confirm, "deny", &["plain_text"], CONFIRM_BUTTON_MAX, &place)
}

fn elements<'a>(block: &'a Value, max: usize, place: &str) -> Result<Vec<(&'a Value, String)>, String> {
    let elements = block.get("elements").and_then(Value::as_array).map(Vec::as_slice);
    match elements {
        Some(elements) if (1..=max).contains(&elements.len()) => {
            let place = |index| format!("{place}/elements/{index}");
            Ok(elements.iter().enumerate().map(|(index, one)| (one, place(index))).collect())
        }
        _ => Err(format!("between 1 and {max} items required [json-pointer:{place}/elements]")),
    }
}

fn check_text(parent: &Value, name: &str, kinds: &[&str], chars_max: usize, place: &str) -> Result<(), String> {
    match parent.get(name) {
        Some(text) => check_text_object(text, kinds, chars_max, &format!("{place}/{name}")),
        None => Err(format!("missing required field: {name} [json-pointer:{place}]")),
    }
}

fn check_text_object(text: &Value, kinds: &[&str], chars_max: usize, place: &str) -> Result<(), String> {
    let kind = text.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kinds.contains(&kind) {
        return Err(format!("text type must be one of {kinds:?} [json-pointer:{place}/type]"));
    }
    let chars = text.get("text").and_then(Value::as_str).map(|text| text.chars().count());
    match chars {
        Some(chars) if (1..=chars_max).contains(&chars) => Ok(()),
        Some(_) => Err(format!("must be 1 to {chars_max} characters [json-pointer:{place}/text]")),
        None => Err(format!("missing required field: text [json-pointer:{place}]")),
    }
}

fn optional_text<'a>(parent: &'a Value, name: &str, chars_max: usize, place: &str) -> Result<Option<&'a str>, String> {
    let Some(value) = parent.get(name) else { return Ok(None) };
    match value.as_str() {
        Some(text) if text.chars().count() <= chars_max => Ok(Some(text)),
        _ => Err(format!("must be a text up to {chars_max} [json-pointer:{place}/{name}]")),
    }
}

fn require(parent: &Value, name: &str, place: &str) -> Result<(), String> {
    if parent.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
        Ok(())
    } else {
        Err(format!("missing required field: {name} [json-pointer:{place}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::{Value, json};

    fn button(changes: &Value) -> Value {
        let mut button = json!({
            "type": "button", "action_id": "approve", "value": "v1",
            "text": { "type": "plain_text", "text": "Approve" },
        });
        for (name, value) in changes.as_object().expect("object") {
            button[name] = value.clone();
        }
        json!([{ "type": "actions", "elements": [button] }])
    }

    #[test]
    fn a_card_as_we_send_it_passes() {
        let card = json!([
            { "type": "header", "text": { "type": "plain_text", "text": "Roll back" } },
            { "type": "section", "block_id": "a", "text": { "type": "mrkdwn", "text": "*x*" },
              "fields": [{ "type": "mrkdwn", "text": "y" }] },
            { "type": "divider" },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": "z" }] },
        ]);
        assert_eq!(check(&card), Ok(()));
        assert_eq!(check(&button(&json!({ "style": "primary" }))), Ok(()));
    }

    #[test]
    fn each_limit_is_enforced() {
        let long = |chars| "x".repeat(chars);
        let section = |text| json!([{ "type": "section", "text": { "type": "mrkdwn", "text": text } }]);
        for (name, blocks) in [
            ("not an array", json!({})),
            ("51 blocks", json!(vec![json!({ "type": "divider" }); 51])),
            ("long section", section(long(3_001))),
            ("empty text", section(String::new())),
            ("header in mrkdwn", json!([{ "type": "header", "text": { "type": "mrkdwn", "text": "x" } }])),
            ("same block_id", json!([{ "type": "divider", "block_id": "a" }, { "type": "divider", "block_id": "a" }])),
            ("no elements", json!([{ "type": "actions", "elements": [] }])),
            ("long value", button(&json!({ "value": long(2_001) }))),
            ("long action_id", button(&json!({ "action_id": long(256) }))),
            ("long button", button(&json!({ "text": { "type": "plain_text", "text": long(76) } }))),
            ("unknown style", button(&json!({ "style": "green" }))),
            ("unknown block", json!([{ "type": "video" }])),
        ] {
            assert!(check(&blocks).is_err(), "{name}");
        }
    }
}
