//! Log lines: human ones by default, one JSON object per line with `PLX_LOG_FORMAT=json`.
//!
//! They go to stderr; what a program says on success goes to stdout, as in the reference.

use plx_contract::{Env, env};
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as `POLYAXON_LOG_LEVEL`, `POLYAXON_DEBUG` and `PLX_LOG_FORMAT` ask. A value that means nothing gives
/// the default and one warning: a misspelt log level must not stop a training run.
pub fn init_logging(env: &impl Env) {
    let (level, doubt) = level(env);
    // Only our own crates speak below WARN: at debug level HTTP clients print headers, and those hold credentials.
    let filter = Targets::new().with_default(level.min(Level::WARN)).with_target("plx_", level);
    let json = env.get(env::LOG_FORMAT).is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second call (tests, plx-pod) keeps the first subscriber.
    let started = if json {
        registry.with(layer.json().flatten_event(true)).try_init().is_ok()
    } else {
        registry.with(layer.with_ansi(std::io::stderr().is_terminal()).compact()).try_init().is_ok()
    };
    if let (true, Some(doubt)) = (started, doubt) {
        tracing::warn!("{doubt}");
    }
}

fn level(env: &impl Env) -> (Level, Option<String>) {
    let (debug, mut doubt) = match env::boolean(env, env::DEBUG) {
        Ok(debug) => (debug.unwrap_or(false), None),
        Err(error) => (false, Some(error.to_string())),
    };
    let named = env.non_empty(env::LOG_LEVEL).map(|name| match name.trim().to_ascii_lowercase().as_str() {
        "critical" | "fatal" | "error" => Ok(Level::ERROR),
        "warning" | "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(name),
    });
    let level = match named {
        Some(Ok(level)) => level,
        Some(Err(name)) => {
            doubt = Some(format!(
                "POLYAXON_LOG_LEVEL is `{name}`, wanted error, warning, info or debug: using info"
            ));
            Level::INFO
        }
        None => Level::INFO,
    };
    // `Level` orders from quiet to loud.
    (if debug { level.max(Level::DEBUG) } else { level }, doubt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[track_caller]
    fn check(pairs: &[(&str, &str)], want: Level, doubts: bool) {
        let env: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let (level, doubt) = level(&env);
        assert_eq!((level, doubt.is_some()), (want, doubts), "{pairs:?}");
    }

    #[test]
    fn levels_in_any_case_and_debug_wins() {
        check(&[], Level::INFO, false);
        check(&[(env::LOG_LEVEL, "warning")], Level::WARN, false);
        check(&[(env::LOG_LEVEL, "INFO")], Level::INFO, false);
        check(&[(env::LOG_LEVEL, "Error"), (env::DEBUG, "true")], Level::DEBUG, false);
        check(&[(env::LOG_LEVEL, "loud")], Level::INFO, true);
        check(&[(env::DEBUG, "maybe")], Level::INFO, true);
    }
}
