//! Whose lives overlap, and whose an object is then. Pure.

use chrono::{DateTime, Utc};
use plx_transfer::Present;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Stores say in whole seconds when an object was stored.
const TICK: Duration = Duration::from_secs(1);

/// The life of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its name.
    pub pod: String,
    /// When it was made.
    pub began: SystemTime,
    /// When it ended, or was told to.
    pub ended: Option<SystemTime>,
    /// It is one of several by its kind (`operation.polyaxon.com/kind`).
    pub of_several: bool,
}

/// Which kind of run a pod is of.
const KIND: &str = "/metadata/annotations/operation.polyaxon.com~1kind";

/// Other pods of the run whose life overlaps this one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Others {
    /// There are none.
    None,
    /// There are some.
    Some {
        /// Their names.
        pods: Vec<String>,
        /// When the first of them all, this pod included, began.
        since: SystemTime,
    },
    /// There may be some.
    Doubtful {
        /// Why that is not known.
        why: String,
        /// When the first may have begun; none when nothing is known.
        since: Option<SystemTime>,
    },
}

/// Whose an object is that this pod did not expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// It was left by pods before this one: this pod may replace it.
    Left,
    /// A pod that lives beside this one stored it.
    Others {
        /// Who that may be.
        pods: Vec<String>,
    },
    /// Not known.
    Unclear {
        /// Why.
        why: String,
    },
}

impl Others {
    pub(super) fn unknown(why: String) -> Self {
        Self::Doubtful { why, since: None }
    }

    /// Whose an object is.
    pub fn whose(&self, present: &Present) -> Whose {
        let is_before = |since: SystemTime| present.modified + TICK <= since;
        match self {
            Self::None => Whose::Left,
            Self::Some { since, .. } if is_before(*since) => Whose::Left,
            Self::Some { pods, .. } => Whose::Others { pods: pods.clone() },
            Self::Doubtful { since: Some(since), .. } if is_before(*since) => Whose::Left,
            Self::Doubtful { why, .. } => Whose::Unclear { why: why.clone() },
        }
    }
}

/// Those of `lives` that overlap the life of `own`, as the cluster has them. Of a kind with several pods some may have ended,
/// and be gone from it.
pub(super) fn others(own: &Life, lives: &[Life]) -> Others {
    match overlapping(own.began, lives) {
        Others::None if own.of_several => {
            let why = "a pod of the run that is gone may have stored it".to_owned();
            Others::Doubtful { why, since: Some(own.began) }
        }
        others => others,
    }
}

/// Those of `lives` that overlap the life of a pod that began then and still lives.
pub(super) fn overlapping(began: SystemTime, lives: &[Life]) -> Others {
    let with: Vec<&Life> = lives.iter().filter(|life| life.ended.is_none_or(|ended| ended > began)).collect();
    let Some(first) = with.iter().map(|life| life.began).min() else { return Others::None };
    let pods = with.iter().map(|life| life.pod.clone()).collect();
    Others::Some { pods, since: first.min(began) }
}

impl Life {
    /// A pod as the API has it; none for something without a name or a time.
    ///
    /// One that is being deleted ended, for this, when it was told to: what was made in its place since takes over.
    pub fn of_pod(pod: &Value) -> Option<Self> {
        let time = |pointer: &str| pod.pointer(pointer).and_then(when);
        let told = || {
            let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
            let deletion = time("/metadata/deletionTimestamp")?;
            deletion.checked_sub(Duration::from_secs(grace.unwrap_or_default()))
        };
        let began = time("/metadata/creationTimestamp")?;
        let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let over = || matches!(phase, "Succeeded" | "Failed").then(|| last_change(pod).unwrap_or(began));
        let ended = match (told(), over()) {
            (Some(told), Some(over)) => Some(told.min(over)),
            (told, over) => told.or(over),
        };
        let kind = pod.pointer(KIND).and_then(Value::as_str);
        let of_several = kind.is_some_and(|kind| !matches!(kind, "job" | "service"));
        Some(Self { pod: pod.pointer("/metadata/name")?.as_str()?.to_owned(), began, ended, of_several })
    }
}

/// The last time of a pod that is over: when its last container ended. A pod that was evicted may have none any more, then
/// it is when its status last changed.
fn last_change(pod: &Value) -> Option<SystemTime> {
    let every = |list: &str, time: &str| -> Option<SystemTime> {
        let items = pod.pointer(list)?.as_array()?;
        items.iter().filter_map(|item| item.pointer(time).and_then(when)).max()
    };
    let finished = "/state/terminated/finishedAt";
    every("/status/containerStatuses", finished)
        .max(every("/status/initContainerStatuses", finished))
        .or_else(|| every("/status/conditions", "/lastTransitionTime"))
}

fn when(time: &Value) -> Option<SystemTime> {
    let time: DateTime<Utc> = time.as_str()?.parse().ok()?;
    Some(time.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)
    }

    fn stamp(second: u64) -> String {
        DateTime::<Utc>::from(at(second)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    fn life(pod: &str, began: u64, ended: Option<u64>) -> Life {
        Life { pod: pod.to_owned(), began: at(began), ended: ended.map(at), of_several: false }
    }

    #[test]
    fn pods_that_live_together_are_told_from_those_that_follow_each_other() {
        let replicas = overlapping(at(10), &[life("b", 5, None), life("c", 12, Some(90))]);
        assert_eq!(replicas, Others::Some { pods: vec!["b".to_owned(), "c".to_owned()], since: at(5) });
        assert_eq!(overlapping(at(100), &[life("first-try", 5, Some(90))]), Others::None);
        assert_eq!(
            overlapping(at(100), &[life("first-try", 5, Some(100))]),
            Others::None,
            "in the same second"
        );
    }

    #[test]
    fn of_a_kind_with_several_pods_one_that_is_gone_may_have_stored_what_is_newer_than_this_one() {
        let own = Life { of_several: true, ..life("a", 100, None) };
        let others = others(&own, &[]);
        let whose =
            |second| others.whose(&Present { size: 1, version: Default::default(), modified: at(second) });
        assert_eq!(whose(90), Whose::Left);
        assert!(matches!(whose(110), Whose::Unclear { .. }));
    }

    #[test]
    fn what_was_stored_before_the_first_of_them_was_left_by_others_before() {
        let others = Others::Some { pods: vec!["b".to_owned()], since: at(100) };
        let whose =
            |second| others.whose(&Present { size: 1, version: Default::default(), modified: at(second) });
        assert_eq!(whose(50), Whose::Left);
        assert_eq!(whose(101), Whose::Others { pods: vec!["b".to_owned()] });
        assert_eq!(whose(100), Whose::Others { pods: vec!["b".to_owned()] }, "a second is not fine enough");
    }

    #[test]
    fn the_life_of_a_pod_is_read_from_its_status() {
        let pod = |status: Value, deletion: Value| {
            let mut pod = json!({"metadata": {"name": "p", "creationTimestamp": stamp(0)}, "status": status});
            for (key, value) in deletion.as_object().unwrap() {
                pod["metadata"][key] = value.clone();
            }
            Life::of_pod(&pod).unwrap().ended
        };
        let ended = |second| json!({"state": {"terminated": {"finishedAt": stamp(second)}}});
        assert_eq!(pod(json!({"phase": "Running"}), json!({})), None);
        assert_eq!(pod(json!({"phase": "Pending"}), json!({})), None);
        let two = json!({"phase": "Failed", "containerStatuses": [ended(30), ended(40)]});
        assert_eq!(pod(two.clone(), json!({})), Some(at(40)));
        let evicted = json!({"phase": "Failed", "conditions": [{"lastTransitionTime": stamp(7)}]});
        assert_eq!(pod(evicted, json!({})), Some(at(7)));
        let deleted = json!({"deletionTimestamp": stamp(60), "deletionGracePeriodSeconds": 30});
        assert_eq!(
            pod(json!({"phase": "Running"}), deleted.clone()),
            Some(at(30)),
            "when it was told to end"
        );
        assert_eq!(pod(two, deleted), Some(at(30)));
    }
}
