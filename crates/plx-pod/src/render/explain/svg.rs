//! The picture as a drawing.

use super::{Picture, Shown, cut, escaped};
use std::fmt::Write;

const WIDTH: usize = 980;
/// Pixels from line to line, and around everything.
const LINE: usize = 18;
const MARGIN: usize = 20;
/// Characters that fit on a line, and in a box.
const LONGEST: usize = 118;

const STYLE: &str = "text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}.t{font-weight:700;font-size:15px}\
.n{font-weight:700}.d{fill:#59636e}.b{fill:#fff;stroke:#59636e}.init{fill:#ddf4ff}.main{fill:#dafbe1}.side{fill:#fff8c5}\
.a{stroke:#59636e;stroke-width:2;fill:none}";

struct Drawing {
    out: String,
    y: usize,
}

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    let mut drawing = Drawing { out: String::new(), y: MARGIN + LINE };
    drawing.text("t", MARGIN, &picture.title);
    drawing.y += LINE;
    let count = picture.containers.len();
    for (index, container) in picture.containers.iter().enumerate() {
        drawing.container(index + 1, container);
        let next = picture.containers.get(index + 1);
        if index + 1 < count && next.is_some_and(|next| matches!(next.phase, "init" | "main")) {
            drawing.arrow();
        } else {
            drawing.y += LINE;
        }
    }
    if !picture.env.is_empty() {
        drawing.y += LINE;
        drawing.text("n", MARGIN, "environment of main");
        for (name, value) in &picture.env {
            drawing.y += LINE;
            drawing.text("d", MARGIN, &format!("{name} = {value}"));
        }
    }
    let height = drawing.y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        drawing.out
    )
}

impl Drawing {
    fn put(&mut self, markup: &str) {
        writeln!(self.out, "{markup}").expect("a string takes everything");
    }

    fn text(&mut self, class: &str, x: usize, text: &str) {
        let y = self.y;
        self.put(&format!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escaped(&cut(text, LONGEST))
        ));
    }

    fn container(&mut self, number: usize, container: &Shown) {
        let lines = container.lines();
        let height = LINE * (3 + lines.len());
        let class = match container.phase {
            "init" => "init",
            "main" => "main",
            _ => "side",
        };
        let (top, width) = (self.y, WIDTH - 2 * MARGIN);
        self.put(&format!(
            "<rect class=\"b {class}\" x=\"{MARGIN}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>"
        ));
        self.y += LINE + 2;
        let x = 2 * MARGIN;
        self.text(
            "n",
            x,
            &format!("{number}. {}  —  {}, {}", container.name, container.phase, container.image),
        );
        self.y += LINE;
        self.text("", x, &container.about.what);
        for (word, fact) in lines {
            self.y += LINE;
            self.text("d", x, &format!("{word}: {fact}"));
        }
        self.y = top + height;
    }

    /// From one container to the one that waits for it.
    fn arrow(&mut self) {
        let (x, top, bottom) = (WIDTH / 2, self.y, self.y + LINE + 4);
        self.put(&format!("<path class=\"a\" d=\"M{x} {top}V{bottom}m-5 -6l5 6l5 -6\"/>"));
        self.y = bottom + 2;
    }
}
