//! What a pod does, as its image's tag says.

/// The part of a tag that makes the container crash.
const CRASHES: &str = "bad-crash";
/// The part of a tag that carries a percentage of failing requests: `err30`.
const ERRORS: &str = "err";

/// What the container of an image does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// Starts, becomes ready and answers requests, this share of them (0 to 1) with an error: `shop:v2-err30`, or none:
    /// `shop:v1`.
    Serves {
        /// 0 to 1.
        error_ratio: f64,
    },
    /// Ends soon after each start: `shop:v3-bad-crash`.
    Crashes,
}

impl Behaviour {
    /// Reads an image reference, `[registry/]name:tag`.
    pub fn of(image: &str) -> Self {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if tag.contains(CRASHES) {
            return Self::Crashes;
        }
        let percent = tag.split('-').find_map(|part| part.strip_prefix(ERRORS)?.parse::<u8>().ok()).unwrap_or(0);
        Self::Serves { error_ratio: f64::from(percent.min(100)) / 100.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_what_a_container_does() {
        for (image, expected) in [
            ("shop:v1", Behaviour::Serves { error_ratio: 0.0 }),
            ("shop", Behaviour::Serves { error_ratio: 0.0 }),
            ("shop:v2-err30", Behaviour::Serves { error_ratio: 0.3 }),
            ("example.test:5000/shop:v2-err100", Behaviour::Serves { error_ratio: 1.0 }),
            ("shop:v2-error", Behaviour::Serves { error_ratio: 0.0 }),
            ("shop:v2-err250", Behaviour::Serves { error_ratio: 1.0 }),
            ("shop:v3-bad-crash", Behaviour::Crashes),
        ] {
            assert_eq!(Behaviour::of(image), expected, "{image}");
        }
    }
}
