//! How Python prints JSON values: generated Dockerfiles and the hashes of lineage are made of such text in the reference.

use serde_json::{Number, Value};

/// `str(value)`.
pub fn str_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr_of(other),
    }
}

/// `repr(value)`.
pub fn repr_of(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => repr_of_number(number),
        Value::String(text) => repr_of_text(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr_of).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", repr_of_text(key), repr_of(value))).collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

/// Both languages print the shortest digits that give the number back; Python turns to exponents later.
fn repr_of_number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let magnitude = float.abs();
    if float == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{float:?}");
    }
    // `1e16` here is `1e+16` there, and `1e-5` is `1e-05`.
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = match exponent.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{power:0>2}")
}

fn repr_of_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for character in text.chars() {
        match character {
            '\\' => repr.push_str("\\\\"),
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            same if same == quote => {
                repr.push('\\');
                repr.push(same);
            }
            shown if is_printable(shown) => repr.push(shown),
            other => repr.push_str(&escaped(other)),
        }
    }
    repr.push(quote);
    repr
}

fn escaped(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Python escapes controls, separators other than the blank, and what is no character at all.
fn is_printable(character: char) -> bool {
    let separators = matches!(
        character,
        '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    );
    let formats = matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0001}'..='\u{e007f}');
    let private = matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    !(character.is_control() || separators || formats || private)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_python_prints_them() {
        for (json, str_, repr) in [
            (r#""a b""#, "a b", "'a b'"),
            (r#""it's""#, "it's", "\"it's\""),
            (r#""'\"""#, "'\"", "'\\'\"'"),
            (
                r#""é\n\t\\\u0001\u2028\u00a0""#,
                "é\n\t\\\u{1}\u{2028}\u{a0}",
                "'é\\n\\t\\\\\\x01\\u2028\\xa0'",
            ),
            ("true", "True", "True"),
            ("null", "None", "None"),
            ("1.5", "1.5", "1.5"),
            ("1.0", "1.0", "1.0"),
            ("-3", "-3", "-3"),
            ("1e20", "1e+20", "1e+20"),
            ("1.25e-7", "1.25e-07", "1.25e-07"),
            ("123456789012345.0", "123456789012345.0", "123456789012345.0"),
            ("[1, \"a\", null]", "[1, 'a', None]", "[1, 'a', None]"),
            (r#"{"b":{"a":[]},"a":false}"#, "{'b': {'a': []}, 'a': False}", "{'b': {'a': []}, 'a': False}"),
        ] {
            let value: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!((str_of(&value).as_str(), repr_of(&value).as_str()), (str_, repr), "{json}");
        }
    }
}
