//! A container's `command` and `args` as the words of one program, and words as a person would type them.

use plx_contract::operation::Words;

/// The words of the program to start; none when there is no command.
///
/// A command that is one string is for a shell: `sh -c COMMAND`, and with arguments `sh -c 'COMMAND "$@"' sh ARGS`.
/// `args` that is one string is one argument, as in Polyaxon: `command: [sh, -c]` with `args: SCRIPT`.
pub fn program(command: Option<&Words>, args: Option<&Words>) -> Option<Vec<String>> {
    let args = match args {
        None => Vec::new(),
        Some(Words::Line(line)) => vec![line.clone()],
        Some(Words::List(list)) => list.clone(),
    };
    match command? {
        Words::Line(line) if line.trim().is_empty() => None,
        Words::Line(line) if args.is_empty() => Some(vec!["sh".into(), "-c".into(), line.clone()]),
        Words::Line(line) => {
            let mut words = vec!["sh".into(), "-c".into(), format!("{line} \"$@\""), "sh".into()];
            words.extend(args);
            Some(words)
        }
        Words::List(list) if list.is_empty() => None,
        Words::List(list) => Some(list.iter().cloned().chain(args).collect()),
    }
}

/// Words for a shell: each as it is when it is plain, in single quotes otherwise.
pub fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,@%+".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
