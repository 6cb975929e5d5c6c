//! What we do otherwise, and why. `docs/differences.md` says the same to users.

/// One difference in one recorded life.
pub struct Difference {
    pub case: &'static str,
    /// In the words of the comparison.
    pub what: &'static str,
    /// In the words of `docs/differences.md`.
    pub why: &'static str,
}

const fn otherwise(case: &'static str, what: &'static str, why: &'static str) -> Difference {
    Difference { case, what, why }
}

const AT_THE_END: &str = "`-1` is only at the end, as it is documented";
const DELETES: &str = "what main deletes is deleted from the store";
const SIGTERM: &str = "SIGTERM is not main's end";
const REFUSED: &str = "an API that refuses stops nothing";
const GONE: &str = "a pod that is gone has no main any more";
const LINK: &str = "a link that leads nowhere costs nothing but itself";
const BROKEN_OFF: &str = "a log that breaks off says so";
const SECOND: &str = "a time that cannot be is no crash";
const AGAIN: &str = "what the tracking API did not take is told again";

pub const DIFFERENCES: &[Difference] = &[
    otherwise("normal", "store: outputs/a.txt is only there", DELETES),
    otherwise("sync-minus-one", "store: outputs/a.txt before the end there", AT_THE_END),
    otherwise("sync-minus-one", "store: plxlogs/pod-1.jsonl before the end there", AT_THE_END),
    otherwise("sigterm", "exit: -15 there, 0 here", SIGTERM),
    otherwise("sigterm", "api: POST runs/R/statuses: 0 there, 1 here", SIGTERM),
    otherwise("sigterm", "store: outputs/last.txt is only here: \"x\"", SIGTERM),
    otherwise("pod-deleted", "exit: -9 there, 0 here", GONE),
    otherwise("rbac-forbidden", "store: outputs/a.txt is only here: \"x\"", REFUSED),
    otherwise("rbac-forbidden", "disk: outputs/spec.json is only here", REFUSED),
    otherwise("rbac-forbidden", "store: outputs/spec.json is only here: the spec", REFUSED),
    otherwise(
        "phase-succeeded",
        "store: plxlogs/pod-1.jsonl: 2024-05-06T07:08:01.100000+00:00 polyaxon-init-auth Auth context initialized.; \
         2024-05-06T07:08:10.100000+00:00 polyaxon-main hello; 2024-05-06T07:08:11.100000+00:00 polyaxon-main world there, \
         2024-05-06T07:08:01.100000+00:00 polyaxon-init-auth Auth context initialized.; 2024-05-06T07:08:10.100000+00:00 \
         polyaxon-main hello; 2024-05-06T07:08:11.100000+00:00 polyaxon-main world; polyaxon-main [plx-sidecar] the log could \
         not be read to its end: lines after this one may be missing here",
        BROKEN_OFF,
    ),
    otherwise("broken-symlink", "store: outputs/a.txt is only here: \"x\"", LINK),
    otherwise("broken-symlink", "store: outputs/spec.json is only here: the spec", LINK),
    otherwise("log-line-crash", "store: outputs/spec.json is only here: the spec", SECOND),
    otherwise("log-line-crash", "store: outputs/a.txt is only here: \"x\"", SECOND),
    otherwise(
        "log-line-crash",
        "store: plxlogs/pod-1.jsonl is only here: 2024-05-06T07:08:01.100000+00:00 polyaxon-init-auth Auth context \
         initialized.; 2024-05-06T07:09:00+00:00 polyaxon-main bad second",
        SECOND,
    ),
    otherwise("log-line-crash", "disk: plxlogs/pod-1.jsonl is only here", SECOND),
    otherwise("lineage-500", "api: POST runs/R/lineage/artifacts \"loss\": 1 there, 2 here", AGAIN),
];
