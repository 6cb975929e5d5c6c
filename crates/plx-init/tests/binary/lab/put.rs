//! What is there before a call.

use plx_testkit::loopback;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub fn put_files(root: &Path, objects: &[(&str, &str)]) {
    for (key, content) in objects {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Puts objects by plain requests, each key as it is.
pub async fn put_objects(to: SocketAddr, bucket: &str, objects: &[(&str, &str)]) {
    for (key, content) in objects {
        let encoded: String = key
            .bytes()
            .map(|byte| match byte {
                b'/' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let target = format!("/{bucket}/base/{encoded}");
        let answer = loopback::request(to, "PUT", &target, content.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{key}: {}", answer.head);
    }
}
