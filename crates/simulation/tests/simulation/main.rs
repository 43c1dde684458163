//! Days that are played in memory: each scenario undisturbed, ten thousand seeds on bad days, and mistakes that must be noticed.

#[cfg(test)]
mod format;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod undisturbed;

#[cfg(test)]
fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

#[cfg(test)]
fn scenarios() -> Vec<simulation::scenario::Scenario> {
    simulation::scenario::Scenario::read_all(&folder()).unwrap_or_else(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        panic!("{error}: {source}")
    })
}
