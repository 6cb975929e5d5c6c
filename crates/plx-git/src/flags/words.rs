//! From one text to words.

use super::FlagError;

/// The words of the flags, in whichever of the three forms they come.
pub(super) fn split(raw: &str) -> Result<Vec<String>, FlagError> {
    let raw = raw.trim();
    let items = if raw.starts_with('[') {
        let items: Vec<String> = serde_json::from_str(raw)
            .map_err(|error| FlagError::Json { line: error.line(), column: error.column() })?;
        items.iter().flat_map(|item| pieces(item, None)).collect()
    } else {
        joined(pieces(raw, Some(',')))
    };
    let mut words = Vec::new();
    for item in items {
        words.extend(shlex::split(&item).ok_or(FlagError::Quotes)?);
    }
    if words.iter().any(|word| word.contains(char::is_control)) {
        return Err(FlagError::Control);
    }
    Ok(words)
}

/// Cuts at each separator that is not quoted. What the splitting of words takes for a comment is quoted on the way:
/// nothing in a flag is one.
fn pieces(text: &str, separator: Option<char>) -> Vec<String> {
    let mut pieces = vec![];
    let mut piece = String::new();
    let (mut quote, mut at_start) = (None, true);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, _) if Some(char) == separator => {
                pieces.push(std::mem::take(&mut piece));
                at_start = true;
                continue;
            }
            (None, '#') if at_start => piece.push('\\'),
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            _ => {}
        }
        at_start = quote.is_none() && char.is_ascii_whitespace();
        piece.push(char);
        if char == '\\' && quote != Some('\'') {
            piece.extend(chars.next());
        }
    }
    pieces.push(piece);
    pieces
}

/// A piece that begins no option belongs to the one before, comma and all: `-c http.extraHeader=A,B`.
fn joined(pieces: Vec<String>) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut commas = 0;
    for piece in pieces {
        commas += 1;
        if piece.trim().is_empty() {
            continue;
        }
        match items.last_mut().filter(|_| !piece.trim_start().starts_with('-')) {
            Some(item) => {
                item.push_str(&",".repeat(commas));
                item.push_str(&piece);
            }
            None => items.push(piece),
        }
        commas = 0;
    }
    items
}
