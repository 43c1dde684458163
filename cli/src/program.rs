//! How this program is called from where the person is: what we tell people to type must work as it stands.

use std::path::Path;

/// What the manifest calls the program; only the program itself is compiled with that name at hand.
const NAME: &str = "paramedic";

/// `paramedic` where PATH leads to this very program, else its path, as short as it can be said.
#[expect(clippy::disallowed_methods, reason = "the process's edge: the search path describes the person's shell")]
pub(crate) fn name() -> String {
    let plain = NAME.to_owned();
    let Ok(program) = std::env::current_exe() else { return plain };
    let search = std::env::var("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).map(|dir| dir.join(&plain)).find(|path| path.is_file());
    if found.and_then(|path| path.canonicalize().ok()) == program.canonicalize().ok() {
        return plain;
    }
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| program.strip_prefix(here).ok()).unwrap_or(&program);
    quoted(&short.display().to_string())
}

/// What the commands beside `up` need to find it: nothing, if it is where they look.
pub(crate) fn home_flag(home: &Path) -> String {
    if home == Path::new(".paramedic") { String::new() } else { format!(" --home {}", quoted(&home.display().to_string())) }
}

/// The same for commands that read the configuration.
pub(crate) fn config_flag(config: &Path) -> String {
    let is_default = config == Path::new(".paramedic/paramedic.toml");
    if is_default { String::new() } else { format!(" --config {}", quoted(&config.display().to_string())) }
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_quoted_where_it_must_be() {
        for (home, expected) in [
            (".paramedic", ""),
            ("/tmp/a-b_c", " --home /tmp/a-b_c"),
            ("my home", " --home 'my home'"),
            ("it's", r" --home 'it'\''s'"),
        ] {
            assert_eq!(home_flag(Path::new(home)), expected);
        }
    }
}
