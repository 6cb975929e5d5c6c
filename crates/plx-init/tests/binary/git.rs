//! `plx-init git`, against real servers; what it leaves is looked at with the real git.

mod conformance;
mod credentials;
mod entries;
mod flags;
mod hosts;
mod keys;
mod names;
mod publishing;
mod rare;
mod refused;
mod repeated;
mod revisions;
mod scene;
mod shallow;
mod submodules;
mod submodules_refused;
mod tracking;
mod transports;
mod trouble;
