//! The agents together, under schedules that real systems produce on bad days. The promises are checked after each run.

#[cfg(test)]
mod scene;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod world;
