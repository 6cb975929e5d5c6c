//! Lines out of the bytes of a log, in pieces where they are long.

/// A line longer than this is given in pieces: so much of each log is in memory at most while the end of a line is waited
/// for.
pub const PIECE: usize = 256 << 10;

/// Lines out of chunks that are cut anywhere.
#[derive(Debug, Default)]
pub struct Pieces {
    rest: Vec<u8>,
    /// A piece of this line was given.
    within: bool,
}

/// A line without its end, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Without its line end.
    pub bytes: Vec<u8>,
    /// Another piece of the same line came before.
    pub continued: bool,
}

impl Pieces {
    /// In the middle of a line, when a piece of that was given before.
    pub fn resumed(within: bool) -> Self {
        Self { rest: Vec::new(), within }
    }

    /// How many bytes wait for the end of their line or piece, and whether a piece of that line was given.
    pub fn stands(&self) -> (usize, bool) {
        (self.rest.len(), self.within)
    }

    /// Takes bytes; `each` gets all lines that have their end now, and of a long one the pieces that are full.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece)) {
        while !bytes.is_empty() {
            let room = PIECE - self.rest.len();
            let end = bytes.iter().take(room).position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(room.min(bytes.len()));
            self.rest.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if end.is_some() {
                bytes = &bytes[1..];
                self.end(&mut each);
            } else if self.rest.len() == PIECE {
                let cut = cut(&self.rest);
                let tail = self.rest.split_off(cut);
                let full = std::mem::replace(&mut self.rest, tail);
                each(Piece { bytes: full, continued: std::mem::replace(&mut self.within, true) });
            }
        }
    }

    /// The line has its end.
    pub fn end(&mut self, mut each: impl FnMut(Piece)) {
        let continued = std::mem::take(&mut self.within);
        let bytes = std::mem::take(&mut self.rest);
        if !(continued && bytes.is_empty()) {
            each(Piece { bytes, continued });
        }
    }

    /// What there is of a line is given; what comes of it later continues it.
    pub fn flush(&mut self, mut each: impl FnMut(Piece)) {
        if !self.rest.is_empty() {
            let bytes = std::mem::take(&mut self.rest);
            each(Piece { bytes, continued: std::mem::replace(&mut self.within, true) });
        }
    }

    /// What waits for its end, and is the beginning of a line.
    pub(crate) fn waiting(&self) -> &[u8] {
        if self.within { &[] } else { &self.rest }
    }

    /// Whether a line waits for its end.
    pub(crate) fn is_within_a_line(&self) -> bool {
        self.within || !self.rest.is_empty()
    }
}

/// Not in the middle of a character: at most three bytes of one stand before the end.
fn cut(bytes: &[u8]) -> usize {
    let len = bytes.len();
    let begins = |at: &usize| bytes[*at] & 0b1100_0000 != 0b1000_0000;
    match (len.saturating_sub(4)..len).rev().find(begins) {
        // A character of one byte is whole.
        Some(at) if bytes[at] >= 0x80 => at.max(1),
        _ => len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_by(text: &[u8], chunk: usize) -> (Vec<Piece>, bool) {
        let (mut pieces, mut all) = (Pieces::default(), Vec::new());
        for bytes in text.chunks(chunk) {
            pieces.push(bytes, |piece| all.push(piece));
        }
        (all, pieces.is_within_a_line())
    }

    #[test]
    fn lines_may_be_cut_anywhere() {
        let text = "first\n\nü\r50%\r100%\nno end".as_bytes();
        for chunk in 1..=text.len() {
            let (all, within) = cut_by(text, chunk);
            let lines: Vec<&str> =
                all.iter().map(|piece| std::str::from_utf8(&piece.bytes).unwrap()).collect();
            assert_eq!((lines, within), (vec!["first", "", "ü\r50%\r100%"], true), "{chunk}");
            assert!(all.iter().all(|piece| !piece.continued));
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_are_the_same_however_it_is_cut() {
        // Neither a length that divides by the characters' nor one that ends with a piece.
        let long = "x€".repeat(PIECE / 2);
        let text = format!("{long}\nnext\n");
        let (all, within) = cut_by(text.as_bytes(), text.len());
        assert!(!within);
        assert!(
            all.iter().all(|piece| piece.bytes.len() <= PIECE && std::str::from_utf8(&piece.bytes).is_ok())
        );
        let continued: Vec<bool> = all.iter().map(|piece| piece.continued).collect();
        assert_eq!(continued, [false, true, true, false]);
        let whole: Vec<u8> = all[..3].iter().flat_map(|piece| piece.bytes.clone()).collect();
        assert_eq!(whole, long.as_bytes());
        for chunk in [1000, PIECE - 1, PIECE, PIECE + 1] {
            assert_eq!(cut_by(text.as_bytes(), chunk).0, all, "{chunk}");
        }
    }

    #[test]
    fn a_line_as_long_as_a_piece_has_no_empty_second_one() {
        let (all, within) = cut_by(&[&vec![b'x'; PIECE][..], b"\n\xff\xff\n"].concat(), 4096);
        assert_eq!((all.len(), within), (2, false));
        assert_eq!((all[0].bytes.len(), all[1].continued), (PIECE, false));
        // Nothing of it is a character: it is cut all the same.
        let (all, _) = cut_by(&vec![0x80; PIECE * 2], PIECE);
        assert_eq!(all.len(), 2);
    }
}
