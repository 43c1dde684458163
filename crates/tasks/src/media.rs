//! Whether an agent takes what a message holds (spec §3.1.1). Pure.

use a2a::{A2aError, AgentCard, ErrorKind, Message};

/// Refuses parts of a media type that the card names neither for the agent nor for one of its skills. A part that says nothing of its
/// type is taken: text and JSON need none.
pub(crate) fn check(card: &AgentCard, message: &Message) -> Result<(), A2aError> {
    let modes = || card.default_input_modes.iter().chain(card.skills.iter().flat_map(|skill| &skill.input_modes));
    for (n, part) in message.parts.iter().enumerate() {
        let Some(media_type) = &part.media_type else { continue };
        if !modes().any(|mode| covers(mode, media_type)) {
            let taken = card.default_input_modes.join(", ");
            let message = format!("message.parts[{n}].mediaType is not one that the agent takes; it takes {taken}");
            return Err(A2aError::new(ErrorKind::ContentTypeNotSupported, message).with("mediaType", media_type));
        }
    }
    Ok(())
}

/// Parameters such as `charset` do not make another type, nor does case (RFC 9110, section 8.3.1).
fn covers(mode: &str, media_type: &str) -> bool {
    let plain = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (mode, media_type) = (plain(mode), plain(media_type));
    match mode.split_once('/') {
        Some(("*", "*")) => true,
        Some((kind, "*")) => media_type.split('/').next() == Some(kind),
        _ => mode == media_type,
    }
}

#[cfg(test)]
mod tests {
    use a2a::{AgentSkill, Part, Role};

    use super::*;

    #[test]
    fn what_the_card_names_is_taken_and_nothing_else() {
        let names = |modes: &[&str]| modes.iter().map(|&mode| mode.to_owned()).collect::<Vec<_>>();
        let skill = AgentSkill { input_modes: names(&["image/*"]), ..AgentSkill::default() };
        let card = AgentCard { default_input_modes: names(&["text/plain"]), skills: vec![skill], ..AgentCard::default() };
        for (media_type, is_taken) in [
            (None, true),
            (Some("text/plain"), true),
            (Some("Text/Plain; charset=utf-8"), true),
            (Some("image/png"), true),
            (Some("text/html"), false),
            (Some("application/x-unheard-of"), false),
        ] {
            let part = Part { media_type: media_type.map(str::to_owned), ..Part::text("?") };
            let checked = check(&card, &Message::new("m", Role::User, vec![Part::text("first"), part]));
            assert_eq!(checked.is_ok(), is_taken, "{media_type:?}");
        }
        let all = AgentCard { default_input_modes: names(&["*/*"]), ..AgentCard::default() };
        let part = Part { media_type: Some("application/x-unheard-of".to_owned()), ..Part::text("?") };
        assert_eq!(check(&all, &Message::new("m", Role::User, vec![part])), Ok(()));
    }
}
