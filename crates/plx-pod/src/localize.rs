//! Absolute paths of the pod as folders of this machine, in text that a container is started with.
//!
//! Only whole paths are rewritten. A match begins where no path is under way (not after a letter, digit, `/`, `.`,
//! `_`, `-`, `~`, `}`) and ends at the text's end or before anything that cannot continue the last segment (not before
//! a letter, digit, `.`, `_`, `-`). So `/plx-context/x`, `--in=/plx-context` and `a:/plx-context` are rewritten, and
//! `/data/plx-context`, `${ROOT}/plx-context` and `/plx-contexts` are not.

/// Which path of the pod is which path here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathMap {
    /// Longest first, so that the more special one wins.
    pairs: Vec<(String, String)>,
}

impl PathMap {
    /// Adds a pair; the first local path of a pod path stays.
    pub fn add(&mut self, pod: impl Into<String>, local: impl Into<String>) {
        let pod = pod.into();
        if self.pairs.iter().all(|(known, _)| *known != pod) {
            self.pairs.push((pod, local.into()));
            self.pairs.sort_by_key(|(pod, _)| std::cmp::Reverse(pod.len()));
        }
    }

    /// Adds all pairs of another map.
    pub fn extend(&mut self, other: &Self) {
        for (pod, local) in &other.pairs {
            self.add(pod.clone(), local.clone());
        }
    }

    /// The text with every pod path rewritten.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(next) = rest.chars().next() {
            let hit =
                starts_a_path(before).then(|| self.pairs.iter().find(|(pod, _)| leads(rest, pod))).flatten();
            if let Some((pod, local)) = hit {
                out.push_str(local);
                rest = &rest[pod.len()..];
                before = local.chars().next_back();
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
                before = Some(next);
            }
        }
        out
    }
}

fn starts_a_path(before: Option<char>) -> bool {
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '~' | '}'))
}

fn leads(text: &str, path: &str) -> bool {
    text.strip_prefix(path).is_some_and(|rest| {
        !rest.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
    })
}
