//! An S3 server on a folder, for demonstrations and checks where no MinIO is at hand.
//!
//! Prints one line, `http://ADDRESS ACCESS_KEY BUCKET…`, once it listens, and serves until it is killed.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;

use clap::Parser;
use plx_testkit::S3Server;

/// Serves a folder as S3, with signature checks and path-style addresses. A bucket is a folder in it.
#[derive(Debug, Parser)]
struct Options {
    /// The folder; made when it is missing.
    #[arg(long)]
    dir: PathBuf,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Access key id that clients use.
    #[arg(long, default_value = "plxtest")]
    access_key: String,
    /// Secret key that clients sign with.
    #[arg(long, default_value = "plxtest-secret")]
    secret_key: String,
    /// A bucket to make; may be said several times.
    #[arg(long)]
    bucket: Vec<String>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.dir)?;
    let listener = TcpListener::bind((options.host, options.port))?;
    let server = S3Server::serve(&options.dir, listener, (options.access_key, options.secret_key))?;
    let mut line = format!("{} {}", server.endpoint(), server.access_key());
    for bucket in &options.bucket {
        server.create_bucket(bucket)?;
        line.push(' ');
        line.push_str(bucket);
    }
    writeln!(io::stdout(), "{line}")?;
    loop {
        std::thread::park();
    }
}
