//! The picture as text for a terminal.

use super::{Picture, cut};
use std::fmt::Write;

/// The longest line.
const WIDTH: usize = 160;

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let mut out = format!("{}\n", cut(&picture.title, WIDTH));
    let mut line = |text: &str| writeln!(out, "{}", cut(text, WIDTH)).expect("a string takes everything");
    let mut phase = "";
    for (index, container) in picture.containers.iter().enumerate() {
        if container.phase != phase {
            phase = container.phase;
            let mark = match phase {
                "init" => "one after the other",
                "main" => "then",
                _ => "at the same time",
            };
            line("");
            line(&format!("── {phase} ({mark})"));
        }
        line("");
        line(&format!("{:>3}. {}  ({})", index + 1, container.name, container.image));
        if !container.about.what.is_empty() {
            line(&format!("     {}", container.about.what));
        }
        for (word, fact) in container.lines() {
            line(&format!("     {word:<10}  {fact}"));
        }
    }
    if !picture.env.is_empty() {
        line("");
        line("── environment of main");
        line("");
        let longest = picture.env.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(40);
        for (name, value) in &picture.env {
            line(&format!("     {name:<longest$}  {value}"));
        }
    }
    out
}
