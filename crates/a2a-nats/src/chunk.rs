//! Bodies that are larger than one message: cutting them up and putting them together again.

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};

use crate::header;

/// Pieces of one body. With the smallest `max_payload` that makes sense (64 KiB), more than 60 MiB.
pub(crate) const CHUNKS_MAX: usize = 1_024;
/// What the headers of a piece take, so that it fits: its number, id and length.
const LABEL_BYTES_MAX: usize = 160;
/// Ids are made by peers; longer ones are no ids.
const ID_CHARS_MAX: usize = 64;

/// Which piece of which body a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    id: String,
    /// From 0; on the wire from 1.
    index: usize,
    pub(crate) count: usize,
    /// Of the whole body; on the first piece.
    pub(crate) length: Option<usize>,
}

/// Pieces that do not make a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("the headers of a piece of the body cannot be read")]
    Label,
    #[error("a body has at most {CHUNKS_MAX} pieces")]
    Many,
    #[error("the body is larger than {0} bytes")]
    Large(usize),
    #[error("the body is not as long as its first piece says")]
    Length,
}

impl Label {
    /// Reads it off a message; `None` for whole bodies.
    pub(crate) fn read(headers: Option<&HeaderMap>) -> Result<Option<Self>, ChunkError> {
        let Some(place) = header::get(headers, header::CHUNK) else { return Ok(None) };
        let (number, count) = place.split_once('/').ok_or(ChunkError::Label)?;
        let (number, count): (usize, usize) = number
            .parse()
            .ok()
            .zip(count.parse().ok())
            .filter(|(number, count)| (1..=*count).contains(number))
            .ok_or(ChunkError::Label)?;
        if count > CHUNKS_MAX {
            return Err(ChunkError::Many);
        }
        let id = header::get(headers, header::CHUNK_ID).filter(|id| (1..=ID_CHARS_MAX).contains(&id.len()));
        let id = id.ok_or(ChunkError::Label)?.to_owned();
        let length = header::number(headers, header::LENGTH).and_then(|length| length.try_into().ok());
        Ok(Some(Self { id, index: number - 1, count, length }))
    }

    pub(crate) const fn is_first(&self) -> bool {
        self.index == 0
    }

    fn put(&self, headers: &mut HeaderMap) {
        headers.insert(header::CHUNK, format!("{}/{}", self.index + 1, self.count));
        header::put(headers, header::CHUNK_ID, &self.id);
        if let Some(length) = self.length {
            header::put_number(headers, header::LENGTH, length);
        }
    }
}

/// Cuts a body into messages that fit `message_bytes_max`, headers included. The first one has all headers of the whole.
pub(crate) fn cut(
    id: &str,
    headers: HeaderMap,
    body: Bytes,
    message_bytes_max: usize,
) -> Result<Vec<(HeaderMap, Bytes)>, ChunkError> {
    let size = header::size(&headers);
    if size + body.len() <= message_bytes_max {
        return Ok(vec![(headers, body)]);
    }
    // Only the first piece has the other headers, but pieces of one length are easier to reason about.
    let room = message_bytes_max.saturating_sub(size + LABEL_BYTES_MAX);
    if room == 0 {
        return Err(ChunkError::Large(message_bytes_max));
    }
    let count = body.len().div_ceil(room);
    if count > CHUNKS_MAX {
        return Err(ChunkError::Large(room * CHUNKS_MAX));
    }
    let length = body.len();
    let piece = |index: usize| {
        let mut headers = if index == 0 { headers.clone() } else { HeaderMap::new() };
        let label = Label { id: id.to_owned(), index, count, length: (index == 0).then_some(length) };
        label.put(&mut headers);
        let from = (index * room).min(length);
        (headers, body.slice(from..(from + room).min(length)))
    };
    Ok((0..count).map(piece).collect())
}

/// A body of which pieces are still missing.
#[derive(Debug)]
pub(crate) struct Assembly {
    id: String,
    pieces: Vec<Option<Bytes>>,
    missing: usize,
    bytes: usize,
    bytes_max: usize,
    length: Option<usize>,
}

impl Assembly {
    /// For the body that this piece is of. At most `bytes_max` are taken.
    pub(crate) fn begin(label: &Label, bytes_max: usize) -> Result<Self, ChunkError> {
        if label.length.is_some_and(|length| length > bytes_max) {
            return Err(ChunkError::Large(bytes_max));
        }
        let pieces = vec![None; label.count];
        Ok(Self { id: label.id.clone(), pieces, missing: label.count, bytes: 0, bytes_max, length: None })
    }

    /// Whether the piece is of this body.
    pub(crate) fn is_of(&self, label: &Label) -> bool {
        self.id == label.id && self.pieces.len() == label.count
    }

    /// Takes a piece, in any order; one that is there already changes nothing. Gives the body when it is whole.
    pub(crate) fn add(&mut self, label: &Label, piece: Bytes) -> Result<Option<Bytes>, ChunkError> {
        self.length = self.length.or(label.length);
        let Some(place) = self.pieces.get_mut(label.index) else { return Err(ChunkError::Label) };
        if place.is_none() {
            self.bytes += piece.len();
            self.missing -= 1;
            *place = Some(piece);
        }
        if self.bytes > self.length.unwrap_or(self.bytes_max).min(self.bytes_max) {
            return Err(ChunkError::Large(self.bytes_max));
        }
        if self.missing > 0 {
            return Ok(None);
        }
        if self.length.is_some_and(|length| length != self.bytes) {
            return Err(ChunkError::Length);
        }
        let mut body = BytesMut::with_capacity(self.bytes);
        // What comes later is of no body any more.
        self.pieces.drain(..).flatten().for_each(|piece| body.extend_from_slice(&piece));
        Ok(Some(body.freeze()))
    }

    /// How many pieces have not come.
    pub(crate) const fn missing(&self) -> usize {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE_BYTES_MAX: usize = 1_000;

    fn body(length: usize) -> Bytes {
        (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into()
    }

    fn cut_up(length: usize) -> Vec<(HeaderMap, Bytes)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::DIGEST, "sha-256=x");
        cut("b1", headers, body(length), MESSAGE_BYTES_MAX).unwrap()
    }

    fn label(headers: &HeaderMap) -> Label {
        Label::read(Some(headers)).unwrap().unwrap()
    }

    #[test]
    fn pieces_fit_and_make_the_body_in_any_order() {
        for length in [2_000, 5_555, 100_000] {
            let mut pieces = cut_up(length);
            assert!(pieces.iter().all(|(headers, piece)| header::size(headers) + piece.len() <= MESSAGE_BYTES_MAX));
            let mut assembly = Assembly::begin(&label(&pieces[0].0), length).unwrap();
            let doubled = pieces[1].clone();
            pieces.push(doubled);
            pieces.reverse();
            let added = pieces.into_iter().map(|(headers, piece)| assembly.add(&label(&headers), piece).unwrap());
            assert_eq!(added.last().unwrap(), Some(body(length)));
        }
    }

    #[test]
    fn what_fits_is_not_cut() {
        let pieces = cut_up(900);
        assert_eq!(pieces.len(), 1);
        assert_eq!(Label::read(Some(&pieces[0].0)), Ok(None));
    }

    #[test]
    fn bodies_are_bounded_by_what_they_say_and_by_what_they_are() {
        let pieces = cut_up(5_000);
        assert_eq!(Assembly::begin(&label(&pieces[0].0), 4_999).err(), Some(ChunkError::Large(4_999)));
        // Without its first piece nothing says how long the body is.
        let mut assembly = Assembly::begin(&label(&pieces[1].0), 1_000).unwrap();
        let results: Vec<_> = pieces[1..].iter().map(|(headers, piece)| assembly.add(&label(headers), piece.clone())).collect();
        assert!(results.contains(&Err(ChunkError::Large(1_000))));
        let huge = cut("b1", HeaderMap::new(), body(2_000), 100);
        assert!(matches!(huge, Err(ChunkError::Large(_))), "{huge:?}");
    }

    #[test]
    fn a_body_of_another_length_is_none() {
        let mut pieces = cut_up(2_000);
        header::put_number(&mut pieces[0].0, header::LENGTH, 2_001);
        let mut assembly = Assembly::begin(&label(&pieces[0].0), 5_000).unwrap();
        let added = pieces.into_iter().map(|(headers, piece)| assembly.add(&label(&headers), piece));
        assert_eq!(added.last().unwrap(), Err(ChunkError::Length));
    }

    #[test]
    fn labels_that_make_no_sense_are_refused() {
        for place in ["0/2", "3/2", "1", "a/b", "1/-2", "1/1025", ""] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CHUNK, place);
            headers.insert(header::CHUNK_ID, "b1");
            assert!(Label::read(Some(&headers)).is_err(), "{place}");
        }
    }
}
