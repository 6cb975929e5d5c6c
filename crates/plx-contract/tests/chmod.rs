//! The modes of files, beside the program that everybody uses for them.

use plx_contract::mode::chmod;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Bits that a mode may set.
const ALL: u32 = 0o7777;

#[test]
fn each_form_does_what_the_program_does() {
    let folder = std::env::temp_dir().join(format!("plx-mode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("file");
    std::fs::write(&file, "x").expect("a file");
    let modes = [
        "+x",
        "u=rwx,g=rx,o=",
        "a+X",
        "g=u",
        "u+s,g+s",
        "+t",
        "o+t",
        "go-rwx",
        "u+x,g-r",
        "zz",
        "=r",
        "+w",
        "ug+rw,o=g",
        "0600",
        "600",
        "4755",
        "77777",
        "8",
        "0o600",
        "u=,g=,o=",
        "-w",
        "o=u-w",
        "",
        "a=rw-x",
        "u+r+w-x",
        "=",
        "+",
        "u",
        ",",
        "u+x,",
        "a+rX",
        "ugo=rwx",
        "g+s",
        "u-s",
        "+s",
        "u+t",
        "g=o",
        "uu+x",
        "+rwx",
        "-rwx",
        "=rwx",
        "o=st",
        "x",
        "u~x",
        "1777",
        "0",
    ];
    for start in [0o644, 0o755, 0o4711, 0o000, 0o1777] {
        for mode in modes {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(start)).expect("a mode");
            // The umask of a child alone can be set without touching that of the other tests.
            let script = r#"umask 027; exec chmod -- "$0" "$1""#;
            let output = Command::new("sh").args(["-c", script, mode]).arg(&file).output().expect("sh runs");
            let want = output
                .status
                .success()
                .then(|| std::fs::metadata(&file).expect("a file").permissions().mode() & ALL);
            // GNU's program changes the mode and then fails when the umask stood in the way of `-`; POSIX does not.
            if mode.starts_with('-') && want.is_none() {
                continue;
            }
            assert_eq!(chmod(start, mode, 0o027), want, "{mode:?} on {start:o}");
        }
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}
