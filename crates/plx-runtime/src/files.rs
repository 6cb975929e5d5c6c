//! The process's own environment and files, behind the traits that pure code asks for.

use plx_contract::credential::Files;
use std::io;
use std::path::Path;

/// The environment of this process. The only place that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl plx_contract::Env for ProcessEnv {
    #[expect(clippy::disallowed_methods, reason = "this is the `Env` that everybody else is told to take")]
    fn get(&self, key: &str) -> Option<String> {
        std::env::var(key).ok()
    }
}

/// Files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The memory limit of this container in bytes, from cgroup v2 or v1; none when there is no limit.
pub fn memory_limit(files: &impl Files) -> Option<u64> {
    const PLACES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    PLACES.iter().find_map(|place| {
        let text = files.read(Path::new(place)).ok().flatten()?;
        let limit: u64 = text.trim().parse().ok()?; // `max` is no number: no limit
        // cgroup v1 says "no limit" as a number near 2^63.
        (limit < 1 << 60).then_some(limit)
    })
}

/// The umask of this process: asking for it by the system call would change it for a moment.
pub fn umask(files: &impl Files) -> u32 {
    const USUAL: u32 = 0o022;
    let Ok(Some(status)) = files.read(Path::new("/proc/self/status")) else { return USUAL };
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str, &'static str);
    impl Files for One {
        fn read(&self, path: &Path) -> io::Result<Option<String>> {
            Ok((path == Path::new(self.0)).then(|| self.1.to_owned()))
        }
    }

    #[test]
    fn the_umask_stands_in_the_status() {
        assert_eq!(umask(&One("/proc/self/status", "Name:\tx\nUmask:\t0027\nState:\tR\n")), 0o027);
        assert_eq!(umask(&One("/elsewhere", "")), 0o022);
    }

    #[test]
    fn the_limit_of_either_cgroup_version() {
        let v2 = "/sys/fs/cgroup/memory.max";
        let v1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(memory_limit(&One(v2, "62914560\n")), Some(60 << 20));
        assert_eq!(memory_limit(&One(v2, "max\n")), None);
        assert_eq!(memory_limit(&One(v1, "524288000\n")), Some(500 << 20));
        assert_eq!(memory_limit(&One(v1, "9223372036854771712\n")), None);
        assert_eq!(memory_limit(&One("/x", "1")), None);
    }
}
