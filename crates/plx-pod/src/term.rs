//! What plx-pod itself says: results on stdout, everything else on stderr. A terminal that is gone stops nothing.

use std::io::Write;

/// One line or table on stdout.
pub fn result(text: &str) {
    write_all(&mut std::io::stdout().lock(), &[text.as_bytes(), b"\n"].concat());
}

/// One remark on stderr.
pub fn note(text: &str) {
    write_all(&mut std::io::stderr().lock(), format!("note: {text}\n").as_bytes());
}

/// Bytes as they are. False when they could not be written: then there is nobody who reads.
pub fn write_all(to: &mut impl Write, bytes: &[u8]) -> bool {
    to.write_all(bytes).and_then(|()| to.flush()).is_ok()
}
