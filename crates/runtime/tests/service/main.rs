//! The one loop on a real bus and a real database.

#[cfg(test)]
mod bed;
#[cfg(test)]
mod handling;
