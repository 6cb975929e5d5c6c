//! Pods of Polyaxon's converter beside ours: `tests/fixtures/pods`, and the table of differences in `docs/render.md`.

mod case;
mod differences;
mod documents;
mod normal;
mod valid;
mod wrapping;

use case::cases;
use differences::Table;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pods")
}

#[test]
fn pods_are_those_of_the_converter_but_for_the_table_of_differences() {
    let mut table = Table::of_the_docs();
    let mut wrong = Vec::new();
    for case in cases(&folder()) {
        let ours = case.render(&[]);
        let want = table.expected(&case.name, case.pod.clone());
        match (ours, want) {
            (Ok(ours), Ok(want)) => {
                valid::pod(&ours);
                let ours = normal::of_ours(&ours.resource);
                if let Some(difference) = normal::difference(&want, &ours) {
                    wrong.push(format!("{}: {difference}", case.name));
                }
            }
            (Err(failure), Err(want)) if failure.message.contains(&want) => {}
            (Err(failure), _) => wrong.push(format!("{}: {}", case.name, failure.message)),
            (Ok(_), Err(want)) => wrong.push(format!("{}: rendered, wanted the error `{want}`", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    table.all_rows_were_used();
}
