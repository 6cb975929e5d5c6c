//! The numbers of a metric, as pandas' `describe` says them.

use super::number::{Number, float};
use serde_json::{Map, Value};

/// Numbers that are kept for quartiles: 8 MiB. Of more, every second is kept, then every fourth, and so on.
pub const KEPT: usize = 1 << 20;

/// The numbers of one column, row after row.
#[derive(Debug)]
pub(super) struct Numbers {
    /// One for each row, or for each `stride`-th; NaN for a row without one.
    kept: Vec<f64>,
    stride: u64,
    rows: u64,
    missing: u64,
    /// All rows hold an integer.
    whole: bool,
    last: Option<Number>,
    /// Begins when not all can be kept.
    running: Option<Running>,
    bound: usize,
}

impl Numbers {
    /// At most `bound` numbers are kept, at least two.
    pub fn new(bound: usize) -> Self {
        Self {
            kept: Vec::new(),
            stride: 1,
            rows: 0,
            missing: 0,
            whole: true,
            last: None,
            running: None,
            bound: bound.max(2),
        }
    }

    /// The next row.
    pub fn push(&mut self, number: Option<Number>) {
        let value = number.map_or(f64::NAN, |number| number.float);
        self.missing += u64::from(number.is_none());
        self.whole &= number.is_some_and(|number| number.whole.is_some());
        self.last = number;
        if self.kept.len() >= self.bound && self.rows.is_multiple_of(self.stride) {
            self.thin();
        }
        if let Some(running) = &mut self.running {
            running.push(value);
        }
        if self.rows.is_multiple_of(self.stride) {
            self.kept.push(value);
        }
        self.rows += 1;
    }

    /// Every second of what is kept stays.
    fn thin(&mut self) {
        if self.running.is_none() {
            let mut running = Running::default();
            self.kept.iter().for_each(|value| running.push(*value));
            self.running = Some(running);
        }
        let mut stays = false;
        self.kept.retain(|_| {
            stays = !stays;
            stays
        });
        self.stride *= 2;
    }

    /// Every row's number, when all were kept, and whether all are integers.
    pub fn all(&self) -> Option<(&[f64], bool)> {
        self.running.is_none().then_some((&self.kept, self.whole))
    }

    /// The last row's value.
    pub fn last(&self) -> Value {
        self.last.map_or(Value::Null, |number| number.json(self.whole))
    }

    /// `count mean std min 25% 50% 75% max`.
    pub fn describe(self) -> Map<String, Value> {
        let count = (self.rows - self.missing) as f64;
        let Running { mean, squares, min, max, .. } =
            self.running.unwrap_or_else(|| Running::of_all(&self.kept, count));
        let std = if count > 1.0 { (squares / (count - 1.0)).sqrt() } else { f64::NAN };
        let mut sorted = self.kept;
        sorted.retain(|value| !value.is_nan());
        sorted.sort_unstable_by(f64::total_cmp);
        [
            ("count", count),
            ("mean", mean),
            ("std", std),
            ("min", min),
            ("25%", quantile(&sorted, 0.25)),
            ("50%", quantile(&sorted, 0.5)),
            ("75%", quantile(&sorted, 0.75)),
            ("max", max),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), float(value)))
        .collect()
    }
}

/// What is known of numbers that are not kept.
#[derive(Debug)]
struct Running {
    count: f64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Running {
    fn default() -> Self {
        Self { count: 0.0, mean: f64::NAN, squares: 0.0, min: f64::NAN, max: f64::NAN }
    }
}

impl Running {
    /// Welford's, which stays exact enough over any number of rows.
    fn push(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.count += 1.0;
        let before = if self.count == 1.0 { value } else { self.mean };
        self.mean = if self.count == 1.0 { value } else { before + (value - before) / self.count };
        self.squares += (value - before) * (value - self.mean);
        // These two take the number where the other is none.
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// As pandas adds them up, to the last digit: `nanmean` and `nanvar` put zeros for rows without a number.
    fn of_all(values: &[f64], count: f64) -> Self {
        let extreme = |than: fn(f64, f64) -> f64| values.iter().copied().fold(f64::NAN, than);
        let or_zero = |value: f64, other: f64| if value.is_nan() { 0.0 } else { other };
        let mean = sum(values, &|value| or_zero(value, value)) / count;
        let squares = sum(values, &|value| or_zero(value, (mean - value) * (mean - value)));
        Self { count, mean, squares, min: extreme(f64::min), max: extreme(f64::max) }
    }
}

/// numpy's pairwise sum (`numpy/_core/src/umath/loops_utils.h.src`), whose last digits depend on its order.
fn sum(values: &[f64], of: &dyn Fn(f64) -> f64) -> f64 {
    const LANES: usize = 8;
    const BLOCK: usize = 128;
    if values.len() < LANES {
        return values.iter().fold(0.0, |sum, value| sum + of(*value));
    }
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return sum(left, of) + sum(right, of);
    }
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for (n, chunk) in chunks.enumerate() {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if n == 0 { of(*value) } else { *lane + of(*value) };
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let lanes = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(lanes, |sum, value| sum + of(*value))
}

/// numpy's linear interpolation, from the nearer end.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some((last, before)) = sorted.split_last() else { return f64::NAN };
    let place = before.len() as f64 * share;
    let at = place.floor() as usize;
    let (low, high) = (sorted.get(at).unwrap_or(last), sorted.get(at + 1).unwrap_or(last));
    // An infinite end makes this NaN, there too.
    let (way, t) = (high - low, place - place.floor());
    if t >= 0.5 { high - way * (1.0 - t) } else { low + way * t }
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
