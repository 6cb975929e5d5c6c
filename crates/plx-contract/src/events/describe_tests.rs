use super::super::number::{Cell, cell};
use super::*;
use proptest::prelude::*;

fn numbers(bound: usize, values: &[Option<f64>]) -> Numbers {
    let mut numbers = Numbers::new(bound);
    for value in values {
        numbers.push(value.map(|float| Number { float, whole: None }));
    }
    numbers
}

fn of(map: &Map<String, Value>, key: &str) -> f64 {
    map[key].as_f64().unwrap_or(f64::NAN)
}

/// The textbook, in the plainest words.
fn naive(values: &[f64]) -> Vec<(&'static str, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let at = |share: f64| {
        let place = (n - 1.0) * share;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    vec![
        ("count", n),
        ("mean", mean),
        ("std", variance.sqrt()),
        ("min", sorted[0]),
        ("25%", at(0.25)),
        ("50%", at(0.5)),
        ("75%", at(0.75)),
        ("max", sorted[sorted.len() - 1]),
    ]
}

fn close(ours: f64, want: f64, scale: f64) -> bool {
    (ours - want).abs() <= 1e-9 * scale.max(1.0) || (ours.is_nan() && want.is_nan())
}

proptest! {
    #[test]
    fn it_describes_as_the_textbook_does(
        rows in proptest::collection::vec(proptest::option::weighted(0.9, -1e6..1e6_f64), 1..700),
    ) {
        let values: Vec<f64> = rows.iter().flatten().copied().collect();
        prop_assume!(!values.is_empty());
        let described = numbers(KEPT, &rows).describe();
        for (key, want) in naive(&values) {
            prop_assert!(close(of(&described, key), want, 1e6), "{key}: {} for {want}", described[key]);
        }
    }

    #[test]
    fn beyond_the_bound_only_quartiles_are_of_a_part(
        values in proptest::collection::vec(-1e3..1e3_f64, 65..900),
    ) {
        let rows: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        let ours = numbers(64, &rows);
        prop_assert!(ours.kept.len() <= 64 && ours.all().is_none());
        let (stride, part) = (ours.stride as usize, ours.kept.clone());
        let want: Vec<f64> = values.iter().copied().step_by(stride).collect();
        prop_assert_eq!(&part, &want, "every {}th", stride);
        let described = ours.describe();
        let of_part = naive(&part);
        for (key, want) in naive(&values) {
            let want = if key.ends_with('%') { of_part.iter().find(|(k, _)| *k == key).expect("a key").1 } else { want };
            prop_assert!(close(of(&described, key), want, 1e3), "{key}: {} for {want}", described[key]);
        }
    }
}

#[test]
fn the_bound_is_what_it_says() {
    let mut numbers = Numbers::new(KEPT);
    for n in 0..3_000_000_u32 {
        numbers.push(Some(Number { float: f64::from(n), whole: Some(n.into()) }));
    }
    assert!(numbers.kept.capacity() * size_of::<f64>() <= 8 << 20, "{}", numbers.kept.capacity());
    assert_eq!(numbers.last(), Value::from(2_999_999));
    let described = numbers.describe();
    assert_eq!((of(&described, "count"), of(&described, "max")), (3e6, 2_999_999.0));
    assert!((of(&described, "mean") - 1_499_999.5).abs() < 1e-3, "{}", described["mean"]);
    assert!((of(&described, "50%") - 1_499_999.5).abs() < 4.0, "{}", described["50%"]);
}

#[test]
fn the_form_of_small_numbers_alone_differs_from_pythons() {
    for (text, want) in
        [("0.3869619921043065", "0.3869619921043065"), ("4.0", "4.0"), ("12345678901.0", "12345678901.0")]
    {
        let Cell::Number(number) = cell(text) else { panic!("{text}") };
        assert_eq!(number.json(false).to_string(), want);
    }
    assert_eq!(
        (float(1e16).to_string(), float(1.5e22).to_string()),
        ("1e+16".to_owned(), "1.5e+22".to_owned())
    );
    // The same numbers, as JSON has them: Python writes `1e-05` and `1e-07`.
    assert_eq!((float(1e-5).to_string(), float(1e-7).to_string()), ("0.00001".to_owned(), "1e-7".to_owned()));
    assert_eq!(float(-0.0).to_string(), "-0.0");
    assert_eq!((float(f64::NAN), float(f64::INFINITY)), (Value::Null, Value::Null));
}
