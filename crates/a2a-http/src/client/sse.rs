//! Reading server-sent events, as the HTML standard defines them: lines end in LF, CR or CRLF, an empty one ends an event, and only
//! `data` matters to A2A. Lines and events are bounded; an event that is cut off is no event.

/// Where a stream stands. Fed with bytes as they come, however they are cut.
#[derive(Debug)]
pub(super) struct Reader {
    bytes_max: usize,
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a CR, so an LF right after it ends no second line.
    after_cr: bool,
    is_first_line: bool,
}

/// A line or an event is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Marks UTF-8 at the beginning of a stream, and says nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Reader {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, line: Vec::new(), data: None, after_cr: false, is_first_line: true }
    }

    /// Takes the next bytes, and adds the data of each event that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], events: &mut impl Extend<Vec<u8>>) -> Result<(), TooLong> {
        if self.after_cr && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_cr = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.extend(line)?;
            events.extend(self.end_line()?);
            bytes = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => rest,
            };
        }
        self.extend(bytes)
    }

    /// Whether the stream ends in the middle of an event.
    pub(super) const fn is_cut(&self) -> bool {
        !self.line.is_empty() || self.data.is_some()
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > self.bytes_max {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The event, if the line was the empty one that ends it.
    fn end_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_first_line) && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let Some(rest) = line.strip_prefix(b"data") else { return Ok(None) };
        let value = match rest {
            [] => rest,
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            // A field whose name only begins like ours.
            _ => return Ok(None),
        };
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) if data.len() + value.len() >= self.bytes_max => return Err(TooLong),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the stream in pieces of every size, which must not matter.
    fn read(stream: &str, bytes_max: usize) -> Result<(Vec<String>, bool), TooLong> {
        let whole = read_in(stream, bytes_max, usize::MAX);
        for size in 1..=stream.len() {
            assert_eq!(read_in(stream, bytes_max, size), whole, "{stream:?} in pieces of {size}");
        }
        whole
    }

    fn read_in(stream: &str, bytes_max: usize, size: usize) -> Result<(Vec<String>, bool), TooLong> {
        let (mut reader, mut events) = (Reader::new(bytes_max), vec![]);
        for piece in stream.as_bytes().chunks(size) {
            reader.feed(piece, &mut events)?;
        }
        let texts = events.into_iter().map(|event| String::from_utf8(event).unwrap()).collect();
        Ok((texts, reader.is_cut()))
    }

    fn check(stream: &str, events: &[&str], is_cut: bool) {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        assert_eq!(read(stream, 100), Ok((events, is_cut)), "{stream:?}");
    }

    #[test]
    fn events_are_what_the_standard_says() {
        check("data: a\n\ndata: b\n\n", &["a", "b"], false);
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", &["a", "b", "c"], false);
        check("data: a\ndata: b\n\n", &["a\nb"], false);
        check("data:a\n\ndata:  b\n\ndata\n\ndata:\n\n", &["a", " b", "", ""], false);
        check(":\n\n: keep-alive\n\nevent: x\nid: 7\nretry: 1\ndata: a\ndatum: b\ndatax\n\n", &["a"], false);
        check("\u{feff}data: a\n\n", &["a"], false);
        check("\n\n\n", &[], false);
    }

    #[test]
    fn an_event_that_is_cut_off_is_none() {
        check("data: a\n\ndata: b\n", &["a"], true);
        check("data: a\n\nda", &["a"], true);
        check("data: a\n\n:", &["a"], true);
    }

    #[test]
    fn lines_and_events_are_bounded() {
        assert_eq!(read(&format!("data: {}\n\n", "x".repeat(4)), 10), Ok((vec!["xxxx".to_owned()], false)));
        assert_eq!(read(&format!("data: {}", "x".repeat(5)), 10), Err(TooLong));
        assert_eq!(read("data: xxx\ndata: xxx\ndata: xxx\n\n", 10), Err(TooLong));
    }
}
