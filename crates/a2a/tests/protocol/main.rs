//! The protocol against its normative description, against itself, and against nonsense.

#[cfg(test)]
mod generate;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod proto;
#[cfg(test)]
mod robust;
#[cfg(test)]
mod round_trip;
