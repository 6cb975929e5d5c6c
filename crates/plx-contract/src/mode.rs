//! `chmod` modes, octal and symbolic, as POSIX describes them: what `chmod MODE FILE` makes of a file's mode.
//!
//! Written here because the crate for it (`file-mode` 0.1) panics on what is no mode, and this text comes from users.

/// Bits that a mode may set: permissions, setuid, setgid, sticky.
const ALL: u32 = 0o7777;

/// The mode of a file after `chmod mode`; none when it is no mode. `umask` counts where a clause names nobody.
pub fn chmod(current: u32, mode: &str, umask: u32) -> Option<u32> {
    if mode.bytes().next()?.is_ascii_digit() {
        let octal = mode.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        return u32::from_str_radix(mode, 8).ok().filter(|bits| octal && *bits <= ALL);
    }
    mode.split(',').try_fold(current & ALL, |mode, clause| apply(mode, clause, umask))
}

/// One clause: `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`.
fn apply(mut mode: u32, clause: &str, umask: u32) -> Option<u32> {
    let operators = clause.find(['-', '+', '='])?;
    let (who, mut rest) = clause.split_at(operators);
    let mut whom = 0;
    for letter in who.chars() {
        whom |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => ALL,
            _ => return None,
        };
    }
    // Nobody named means everybody, as far as the umask lets them.
    let (whom, limit) = if who.is_empty() { (ALL, !umask) } else { (whom, ALL) };
    while !rest.is_empty() {
        let (operator, after) = rest.split_at(1);
        let end = after.find(['-', '+', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at(end);
        let bits = bits(mode, letters)? & whom & limit;
        mode = match operator {
            "+" => mode | bits,
            "-" => mode & !bits,
            _ => (mode & !(whom & ALL)) | bits,
        };
        rest = next;
    }
    Some(mode)
}

/// The bits that letters mean, for all three kinds of people.
fn bits(mode: u32, letters: &str) -> Option<u32> {
    let copied = |three: u32| (three & 7) * 0o111;
    match letters {
        "u" => return Some(copied(mode >> 6)),
        "g" => return Some(copied(mode >> 3)),
        "o" => return Some(copied(mode)),
        _ => {}
    }
    let mut bits = 0;
    for letter in letters.chars() {
        bits |= match letter {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            // Only where somebody may execute it already; a folder is never meant here.
            'X' if mode & 0o111 != 0 => 0o111,
            'X' => 0,
            's' => 0o6000,
            't' => 0o1000,
            _ => return None,
        };
    }
    Some(bits)
}
