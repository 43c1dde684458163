//! Text from outside, made harmless where Slack would read it as markup.
//!
//! Owns the escaping only; cutting and layout are the caller's.

/// Escapes `&`, `<` and `>`, the three characters Slack's mrkdwn gives meaning to
/// (docs.slack.dev, "Formatting message text"), so that an alert's annotation or a log line
/// cannot draw a link, a mention or `<!channel>`. Applied once, where text is put into a
/// message; applying it twice shows the escapes.
pub fn escape_mrkdwn(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape_mrkdwn;

    #[test]
    fn mentions_and_links_lose_their_meaning() {
        for (text, safe) in [
            ("plain *bold* text", "plain *bold* text"),
            ("<!channel> a & b", "&lt;!channel&gt; a &amp; b"),
            ("<https://evil.example|runbook>", "&lt;https://evil.example|runbook&gt;"),
        ] {
            assert_eq!(escape_mrkdwn(text), safe);
        }
    }
}
