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

/// The command and the arguments of a container in a pod. One string that holds more than a word is for a shell, as
/// [`program`] has it: Kubernetes would look for a program of that whole name.
pub fn in_a_pod(command: Option<&Words>, args: Option<&Words>) -> (Vec<String>, Vec<String>) {
    let args_alone = match args {
        None => Vec::new(),
        Some(Words::Line(line)) => vec![line.clone()],
        Some(Words::List(list)) => list.clone(),
    };
    match command {
        None => (Vec::new(), args_alone),
        Some(Words::List(list)) => (list.clone(), args_alone),
        Some(Words::Line(line)) if is_word(line) => (vec![line.clone()], args_alone),
        Some(Words::Line(_)) => (program(command, args).unwrap_or_default(), Vec::new()),
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-=:,@%+".contains(c)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_plain)
}

/// Words for a shell: each as it is when it is plain, in single quotes otherwise.
pub fn quoted(words: &[String]) -> String {
    let quote = |word: &String| {
        if is_word(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
