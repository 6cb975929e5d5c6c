//! Names with values within text: `AccountKey=…;`, `&sig=…`, `--token …`, `password: …`, `"password":"…"`.

use super::REDACTED;
use super::names::{Suspicion, excuses, suspicion};
use super::text::finished;

/// What errors go on with behind `fetch token: `, when more follows: no value, and what went wrong must be read.
const PROSE: [&str; 16] = [
    "a",
    "cannot",
    "context",
    "could",
    "dial",
    "error",
    "failed",
    "get",
    "head",
    "invalid",
    "no",
    "not",
    "post",
    "rpc",
    "unable",
    "unexpected",
];

/// Quotes within quotes.
const ESCAPED: [&str; 2] = ["\\\"", "'\\''"];

/// What stands between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Separator {
    Equals,
    Colon,
    /// Behind an option of a command.
    Space,
}

/// Takes the values of strongly suspicious names out of text.
pub(super) fn pairs(text: &str) -> Option<String> {
    let (mut made, mut rest, mut quotes) = (String::new(), text, Quotes::default());
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut starts_line = true;
    while let Some(at) = rest.find(is_name) {
        let (before, after) = rest.split_at(at);
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, next) = after.split_at(end);
        starts_line = match before.rsplit_once('\n') {
            Some((_, line)) => line.trim().is_empty(),
            None => starts_line && before.trim().is_empty(),
        };
        quotes.pass(before);
        quotes.pass(name);
        made.push_str(before);
        made.push_str(name);
        rest = next;
        let is_first = starts_line;
        // As a member of a list in YAML.
        starts_line &= name == "-";
        if suspicion(name) != Suspicion::Strong {
            continue;
        }
        let Some((separator, between)) = separator(name, before, next) else { continue };
        let (between, body) = next.split_at(between);
        let Some((skipped, length)) = value(name, separator, is_first, body, quotes.innermost()) else {
            continue;
        };
        quotes.pass(between);
        quotes.pass(&body[..skipped]);
        made.push_str(between);
        made.push_str(&body[..skipped]);
        made.push_str(REDACTED);
        rest = &body[skipped + length..];
    }
    finished(made, rest, text)
}

/// What separates a name from its value, and how long it is with the blanks behind it.
fn separator(name: &str, before: &str, next: &str) -> Option<(Separator, usize)> {
    if next.starts_with('=') {
        return Some((Separator::Equals, 1));
    }
    // A name in JSON, which may be text in JSON itself.
    let quote = ["\"", "'", "\\\""].into_iter().find(|quote| next.starts_with(quote)).map_or(0, str::len);
    if let Some(after) = next[quote..].strip_prefix(':') {
        let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
        // Schemes, paths of modules; tags of images and names of resources.
        let is_part = after.starts_with("//")
            || after.starts_with(':')
            || quote == 0 && blanks == 0 && before.ends_with(['/', ':', '@']);
        return (!is_part).then_some((Separator::Colon, quote + 1 + blanks));
    }
    // A line of a shell may go on in the next.
    let value = next.trim_start_matches([' ', '\t']);
    let value = value.strip_prefix("\\\n").map_or(value, |line| line.trim_start_matches([' ', '\t']));
    (name.starts_with('-') && value.len() < next.len())
        .then_some((Separator::Space, next.len() - value.len()))
}

/// Where the secret in a value begins, and how long it is; none when there is none.
fn value(
    name: &str,
    separator: Separator,
    is_first: bool,
    body: &str,
    inside: Option<char>,
) -> Option<(usize, usize)> {
    // A quote may stand before it, and another one before that in JSON within text.
    let bare = body.trim_start_matches(['\\', '"', '\'']);
    // A shell's own variable or command is no value, nor is what was found before.
    let is_reference = bare
        .strip_prefix('$')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "_{(".contains(c)));
    let is_no_value = match separator {
        Separator::Equals => false,
        // Members of an object are judged by their own names.
        Separator::Colon => body.starts_with(['{', '[']) || is_prose(bare),
        // Another option, or the end of the command.
        Separator::Space => body.starts_with(['-', '#']),
    };
    if is_reference || is_no_value || body.starts_with('`') || bare.starts_with(REDACTED) {
        return None;
    }
    let is_shell = name.starts_with('-') && separator != Separator::Colon;
    let is_header =
        ["authorization", "cookie"].iter().any(|header| name.to_ascii_lowercase().contains(header));
    let escaped = ESCAPED.into_iter().find(|quote| body.starts_with(quote));
    let (skipped, length) = if let Some(quote) = escaped {
        let text = &body[quote.len()..];
        (quote.len(), text.find(quote).unwrap_or(text.len()))
    } else if let Some(length) =
        quoted(body, inside).filter(|length| !is_shell || is_word(body, *length, inside))
    {
        (1, length)
    } else if is_shell {
        (0, word(body, inside))
    } else {
        let to_line = separator == Separator::Colon && (is_first || is_header);
        let ends = |c: char| {
            if to_line {
                c == '\n' || Some(c) == inside
            } else {
                c.is_whitespace() || ";&,\"'`)}]\\".contains(c)
            }
        };
        (0, body.find(ends).map_or(body.len(), |end| body[..end].trim_end().len()))
    };
    let value = &body[skipped..skipped + length];
    let is_null = separator == Separator::Colon && ["null", "~", "None"].contains(&value);
    (!value.is_empty() && !is_null && !excuses(name, value)).then_some((skipped, length))
}

fn is_prose(body: &str) -> bool {
    body.split_once(' ').is_some_and(|(word, more)| {
        PROSE.contains(&word.to_ascii_lowercase().as_str())
            && more.starts_with(|c: char| c.is_alphanumeric() || c == '"')
    })
}

/// How long the text in quotes is that begins here; one that is not closed is to its end.
fn quoted(body: &str, inside: Option<char>) -> Option<usize> {
    let quote = body.chars().next().filter(|c| "\"'".contains(*c))?;
    let text = &body[1..];
    // That is the end of what the name stands in.
    if inside == Some(quote) && !text.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote == '"';
        ends
    });
    Some(end.unwrap_or(text.len()))
}

/// Whether a word of a shell ends with these quotes.
fn is_word(body: &str, length: usize, inside: Option<char>) -> bool {
    body.get(length + 2..).is_none_or(|after| word(after, inside) == 0)
}

/// How long the word of a shell is that begins here: parts in quotes belong to it.
fn word(body: &str, inside: Option<char>) -> usize {
    let (mut quote, mut left) = (None, body.char_indices().peekable());
    while let Some((at, c)) = left.next() {
        match quote {
            Some(open) if c == open => quote = None,
            Some('"') if c == '\\' => {
                left.next();
            }
            Some(_) => {}
            None if Some(c) == inside => return at,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '\\' => match left.next() {
                // Of what the command stands in.
                Some((_, '"')) if inside.is_some() => return at,
                Some((_, '\n')) | None => return at,
                Some(_) => {}
            },
            None if c.is_whitespace() || ";&|<>)`".contains(c) => return at,
            None => {}
        }
    }
    body.len()
}

/// Which quotes are open.
#[derive(Debug, Default)]
struct Quotes {
    open: Vec<char>,
    before: char,
}

impl Quotes {
    fn innermost(&self) -> Option<char> {
        self.open.last().copied()
    }

    fn pass(&mut self, text: &str) {
        for c in text.chars() {
            let before = std::mem::replace(&mut self.before, c);
            if !"\"'`".contains(c) || before == '\\' {
                continue;
            }
            if let Some(at) = self.open.iter().position(|open| *open == c) {
                self.open.truncate(at);
            } else if !before.is_alphanumeric() {
                // Not an apostrophe.
                self.open.push(c);
            }
        }
    }
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
