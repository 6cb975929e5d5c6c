use super::*;
use std::process::{Command, Stdio};
use tokio::time::{Duration, interval, timeout};

/// A process of a made-up `/proc`.
fn process(proc: &Path, pid: i32, parent: i32, ticks: [u64; 4], memory: [u64; 3], cgroup: &str) {
    let folder = proc.join(pid.to_string());
    fs::create_dir_all(&folder).unwrap();
    let [user, system, children, of_children] = ticks;
    let stat = format!(
        "{pid} (a) b (c) S {parent} 1 1 0 -1 4194560 1 0 0 0 {user} {system} {children} {of_children} 20 0 1 0 5\n"
    );
    let [anon, file, shmem] = memory;
    let status = format!("Name:\ta\nRssAnon:\t{anon} kB\nRssFile:\t   {file} kB\nRssShmem:\t{shmem} kB\n");
    for (name, text) in [("stat", stat.as_str()), ("status", &status), ("cgroup", cgroup)] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn processes_of_a_tree_and_of_a_container() {
    let folder = tempfile::tempdir().unwrap();
    let proc = folder.path();
    fs::write(proc.join("uptime"), "1").unwrap();
    let (main, other) = ("0::/../cri-containerd-aaaa1111.scope\n", "0::/../cri-containerd-bbbb2222.scope\n");
    process(proc, 1, 0, [1, 0, 0, 0], [10, 10, 0], "0::/../cri-containerd-cccc.scope\n");
    process(proc, 20, 1, [100, 50, 30, 20], [1000, 300, 0], main);
    process(proc, 21, 20, [200, 0, 0, 0], [500, 100, 400], main);
    process(proc, 22, 21, [0, 0, 0, 0], [24, 0, 0], other);
    process(proc, 30, 1, [9999, 0, 0, 0], [9999, 0, 0], "0::/\n");
    let tree = used(proc, &Whose::Tree(20)).unwrap();
    assert_eq!(tree, Used { seconds: 4.0, bytes: (1524.0 + 500.0) * 1024.0 });
    let container = used(proc, &Whose::Container("aaaa1111".to_owned())).unwrap();
    assert_eq!(container, Used { seconds: 4.0, bytes: (1500.0 + 500.0) * 1024.0 });
    for nobody in [Whose::Tree(99), Whose::Container("dddd".to_owned()), Whose::Container(String::new())] {
        assert_eq!(used(proc, &nobody), None, "{nobody:?}");
    }
    assert_eq!(used(&proc.join("nowhere"), &Whose::Tree(1)), None);
}

#[tokio::test]
async fn a_child_that_works_uses_more_and_more() {
    // The one that works is a child of a child, and is waited for.
    let script = "sh -c 'i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done' & wait; :";
    let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
    let whose = Whose::Tree(i32::try_from(child.id()).unwrap());
    let mut looks = interval(Duration::from_millis(50));
    let grows = async {
        loop {
            looks.tick().await;
            if used(Path::new("/proc"), &whose)
                .is_some_and(|used| used.seconds >= 0.2 && used.bytes > 100_000.0)
            {
                return;
            }
        }
    };
    let grown = timeout(Duration::from_secs(30), grows).await;
    let all: BTreeMap<i32, Times> =
        pids(Path::new("/proc")).filter_map(|pid| Some((pid, times(Path::new("/proc"), pid)?))).collect();
    let Whose::Tree(root) = whose else { unreachable!() };
    for pid in tree(root, &all) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
    child.wait().unwrap();
    grown.expect("it uses CPU and memory");
    assert_eq!(used(Path::new("/proc"), &whose), None, "it is gone");
}
