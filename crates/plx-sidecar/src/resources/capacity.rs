//! How much main may use: its limits, else all that its node has.

use super::Sample;
use plx_contract::credential::Files;
use plx_kube::quantity;
use serde_json::Value;
use std::path::Path;

/// Cores and bytes that are a hundred percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capacity {
    pub cores: f64,
    pub bytes: f64,
}

impl Capacity {
    /// What the node has, from its `/proc`, which is the same in each container; none where that cannot be read.
    pub fn of_node(proc: &Path, files: &impl Files) -> Option<Self> {
        let stat = files.read(&proc.join("stat")).ok()??;
        let is_core = |line: &&str| {
            line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let cores = u32::try_from(stat.lines().filter(is_core).count()).ok()?;
        let memory = files.read(&proc.join("meminfo")).ok()??;
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: f64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
        (cores > 0 && kib > 0.0).then(|| Self { cores: f64::from(cores), bytes: kib * 1024.0 })
    }

    /// The same with the limits of a container in the place of what they limit.
    pub fn limited(self, container: &Value) -> Self {
        let limit = |name: &str| {
            let limit = container.pointer("/resources/limits")?.get(name)?;
            let number = limit.as_f64().or_else(|| quantity(limit.as_str()?))?;
            (number > 0.0).then_some(number)
        };
        Self { cores: limit("cpu").unwrap_or(self.cores), bytes: limit("memory").unwrap_or(self.bytes) }
    }

    /// The part of it that is used.
    pub fn share(self, cores: f64, bytes: f64) -> Sample {
        Sample { cpu: 100.0 * cores / self.cores, memory: 100.0 * bytes / self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io;

    struct Node;
    impl Files for Node {
        fn read(&self, path: &Path) -> io::Result<Option<String>> {
            Ok(match path.to_str() {
                Some("/proc/stat") => Some("cpu  1 2\ncpu0 1 2\ncpu1 3 4\nintr 5\ncpuset\n".to_owned()),
                Some("/proc/meminfo") => Some("MemTotal:       2048 kB\nMemFree: 1 kB\n".to_owned()),
                _ => None,
            })
        }
    }

    #[test]
    fn a_limit_is_a_hundred_percent_and_without_one_the_node_is() {
        let node = Capacity::of_node(Path::new("/proc"), &Node).expect("a node");
        assert_eq!(node, Capacity { cores: 2.0, bytes: 2_097_152.0 });
        assert_eq!(node.limited(&json!({"resources": {}})), node);
        let limits =
            json!({"resources": {"limits": {"cpu": "500m", "memory": "1Mi", "nvidia.com/gpu": "1"}}});
        let limited = node.limited(&limits);
        assert_eq!(limited.share(0.25, 524_288.0), Sample { cpu: 50.0, memory: 50.0 });
        let odd = json!({"resources": {"limits": {"cpu": "0", "memory": "much"}}});
        assert_eq!(node.limited(&odd), node);
        assert_eq!(Capacity::of_node(Path::new("/nowhere"), &Node), None);
    }
}
