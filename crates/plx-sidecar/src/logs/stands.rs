//! Where a log stands after lines that were taken, by whoever gives them.

use super::folder::Position;
use plx_kube::log::{Chunk, Cursor, Line};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far a log was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Stands {
    /// Of a container's log at the kubelet.
    Kubelet(Cursor),
    /// Of what `plx-entry` keeps.
    Folder(Position),
}

impl Default for Stands {
    fn default() -> Self {
        Self::Kubelet(Cursor::default())
    }
}

impl Stands {
    /// At the kubelet; from its beginning, when it was taken from elsewhere.
    pub(super) fn at_the_kubelet(self) -> Cursor {
        match self {
            Self::Kubelet(cursor) => cursor,
            Self::Folder(_) => Cursor::default(),
        }
    }

    /// In the folder; from its beginning, when it was taken from elsewhere.
    pub(super) fn in_folder(self) -> Position {
        match self {
            Self::Folder(position) => position,
            Self::Kubelet(_) => Position::default(),
        }
    }

    /// Nothing was taken yet, of any start.
    pub(super) fn is_at_the_beginning(&self) -> bool {
        match self {
            Self::Kubelet(cursor) => cursor.is_at_the_beginning(),
            Self::Folder(position) => *position == Position::default(),
        }
    }
}

/// Lines that follow each other, and where the log stands after them.
pub(super) struct Taken {
    pub container: Arc<str>,
    pub lines: Vec<Line>,
    pub stands: Stands,
}

impl From<Chunk> for Taken {
    fn from(Chunk { container, lines, cursor }: Chunk) -> Self {
        Self { container, lines, stands: Stands::Kubelet(cursor) }
    }
}
