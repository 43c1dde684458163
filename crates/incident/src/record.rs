//! The audit chain: each record's hash covers the one before it, so that a changed, removed or reordered record shows (P11).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::plan::Digest;

/// One fact in its place in a tenant's chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Place, from 1, without gaps.
    pub seq: u64,
    /// Hash of the record before; of nothing for the first.
    pub previous: Digest,
    /// What happened.
    pub fact: Fact,
    /// SHA-256 over the canonical JSON of `seq`, `previous` and `fact`.
    pub hash: Digest,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is missing, or stands elsewhere.
    #[error("record {expected} is missing or out of order: found {found} in its place")]
    Order {
        /// Place that was expected.
        expected: u64,
        /// Place that the record says.
        found: u64,
    },
    /// The record before it is not the one that it was chained to.
    #[error("record {seq} is not chained to the record before it")]
    Chain {
        /// Which.
        seq: u64,
    },
    /// Its content is not what was hashed.
    #[error("record {seq} was changed")]
    Content {
        /// Which.
        seq: u64,
    },
}

/// The end of a chain: where the next record goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Place of the last record; 0 if there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: Digest::of(b"") }
    }
}

impl Head {
    /// Chains a fact.
    ///
    /// # Errors
    /// If the fact has no canonical JSON (a number that is none).
    pub fn append(&mut self, fact: Fact) -> Result<Record, serde_json::Error> {
        let seq = self.seq + 1;
        let previous = self.hash.clone();
        let hash = hash(seq, &previous, &fact)?;
        *self = Self { seq, hash: hash.clone() };
        Ok(Record { seq, previous, fact, hash })
    }

    /// Checks that `record` is the next one, unchanged, and moves on to it.
    ///
    /// # Errors
    /// How it breaks the chain.
    pub fn follow(&mut self, record: &Record) -> Result<(), Broken> {
        let (seq, expected) = (record.seq, self.seq + 1);
        if seq != expected {
            return Err(Broken::Order { expected, found: seq });
        }
        if record.previous != self.hash {
            return Err(Broken::Chain { seq });
        }
        if hash(seq, &record.previous, &record.fact).ok().as_ref() != Some(&record.hash) {
            return Err(Broken::Content { seq });
        }
        *self = Self { seq, hash: record.hash.clone() };
        Ok(())
    }
}

fn hash(seq: u64, previous: &Digest, fact: &Fact) -> Result<Digest, serde_json::Error> {
    // `seq` as text: canonical JSON has no integers above 2^53.
    Ok(Digest::of(&serde_json_canonicalizer::to_vec(&(seq.to_string(), previous, fact))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::What;
    use crate::task::Role;

    fn chain(length: usize) -> Vec<Record> {
        let mut head = Head::default();
        let fact = |n: usize| Fact {
            id: format!("f{n}"),
            tenant: "acme".parse().unwrap(),
            incident: "inc_1".parse().unwrap(),
            by: Role::Monitoring,
            at: chrono::DateTime::from_timestamp(1_000 + i64::try_from(n).unwrap(), 0).unwrap(),
            what: What::Gap { reason: format!("reason {n}") },
        };
        (0..length).map(|n| head.append(fact(n)).unwrap()).collect()
    }

    fn verify(records: &[Record]) -> Result<(), Broken> {
        let mut head = Head::default();
        records.iter().try_for_each(|record| head.follow(record))
    }

    #[test]
    fn an_untouched_chain_holds() {
        assert_eq!(verify(&chain(5)), Ok(()));
    }

    #[test]
    fn every_kind_of_tampering_shows() {
        let mut changed = chain(5);
        changed[2].fact.what = What::Gap { reason: "nothing to see".to_owned() };
        assert_eq!(verify(&changed), Err(Broken::Content { seq: 3 }));

        let mut removed = chain(5);
        removed.remove(1);
        assert_eq!(verify(&removed), Err(Broken::Order { expected: 2, found: 3 }));

        let mut swapped = chain(5);
        swapped.swap(1, 2);
        assert!(matches!(verify(&swapped), Err(Broken::Order { .. })));

        // A record that is rehashed after the change no longer fits what follows.
        let mut rehashed = chain(5);
        rehashed[2].fact.what = What::Gap { reason: "nothing to see".to_owned() };
        rehashed[2].hash = hash(3, &rehashed[2].previous, &rehashed[2].fact).unwrap();
        assert_eq!(verify(&rehashed), Err(Broken::Chain { seq: 4 }));
    }
}
