//! What tests of a git client stand on: repositories, and real servers for them over HTTP, SSH and git's own protocol.
//!
//! All of it runs the machine's `git`, without the machine's configuration.

mod daemon;
mod http;
mod inetd;
mod program;
mod repo;
mod ssh;

pub use self::daemon::GitDaemon;
pub use self::http::{GitHttp, SeenGit};
pub use self::program::{git_command, git_in};
pub use self::repo::GitRepo;
pub use self::ssh::{GitSsh, KeyType, PASSPHRASE};
