//! The picture as a page: the drawing, which needs nothing else.

use super::{Picture, escaped, svg};

/// Draws it.
pub fn draw(picture: &Picture) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n<body style=\"margin:0\">\n{}</body>\n\
         </html>\n",
        escaped(&picture.title),
        svg::draw(picture)
    )
}
