//! libgit2's settings for the whole process, and our transports in it.

use crate::transport;
use git2::ConfigLevel;
use std::sync::OnceLock;

/// What may be mapped of pack files at one time: it counts as resident memory of the pod.
const MAPPED: usize = 12 << 20;
const WINDOW: usize = 1 << 20;
/// Parsed objects that are kept.
const CACHE: isize = 8 << 20;

/// Settles it once. An error is the same for every later call.
pub(crate) fn init() -> Result<(), git2::Error> {
    static DONE: OnceLock<Result<(), (git2::ErrorCode, git2::ErrorClass, String)>> = OnceLock::new();
    let done = DONE.get_or_init(|| settle().map_err(|e| (e.code(), e.class(), e.message().to_owned())));
    done.clone().map_err(|(code, class, message)| git2::Error::new(code, class, message))
}

#[expect(
    unsafe_code,
    reason = "libgit2's globals: `OnceLock` sees to it that one thread sets them, before any use"
)]
fn settle() -> Result<(), git2::Error> {
    // SAFETY: nothing of libgit2 runs yet in this process: every use of this crate begins with `init`.
    unsafe {
        git2::opts::set_mwindow_size(WINDOW)?;
        git2::opts::set_mwindow_mapped_limit(MAPPED)?;
        git2::opts::set_cache_max_size(CACHE)?;
        // The repository may belong to whoever: a volume of another user, a target of an earlier container. Nothing of
        // it is executed here.
        git2::opts::set_verify_owner_validation(false)?;
        // One clone is like the other, whatever lies in the machine's home folders.
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            git2::opts::set_search_path(level, "/dev/null")?;
        }
        for scheme in ["http", "https"] {
            git2::transport::register(scheme, transport::http)?;
        }
        git2::transport::register("ssh", transport::ssh)?;
        git2::transport::register("git", transport::daemon)?;
    }
    Ok(())
}

/// Resident pages of a pack being indexed that are worth giving back.
const RESIDENT: u64 = 16 << 20;

/// Gives back the memory of packs that are being indexed, once there is much of it.
///
/// libgit2 keeps to its limit of mapped memory for finished packs alone (`git_mwindow_free_all` strikes the file that is
/// indexed off its list), so that a large pack would be resident as far as deltas reach: more than a pod's 60 Mi. What
/// is given back is read again from the file when it is needed.
pub(crate) fn give_back() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let of_packs: Vec<(usize, usize)> =
        maps.lines().filter(|line| line.contains("/pack_git2_")).filter_map(range).collect();
    let mapped: usize = of_packs.iter().map(|(start, end)| end - start).sum();
    if mapped as u64 > RESIDENT {
        of_packs.into_iter().for_each(drop_pages);
    }
}

/// A line such as `7f0000000000-7f0000200000 r--s 00000000 fe:00 42 /x/pack_git2_ab`, when nothing is written there.
fn range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let read_only = words.next()?.starts_with("r-");
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?)).filter(|_| read_only)
}

#[expect(unsafe_code, reason = "the advice is about addresses, which only the kernel can check")]
fn drop_pages((start, end): (usize, usize)) {
    // SAFETY: the range is a mapping of a file that is only read, as the kernel lists it; its pages are read again from
    // that file. This runs on the thread that indexes, so that the list is of now. A refusal changes nothing.
    let pages = std::ptr::with_exposed_provenance_mut(start);
    unsafe { rustix::mm::madvise(pages, end - start, rustix::mm::Advice::LinuxDontNeed) }.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_is_given_back() {
        assert_eq!(range("1000-3000 r--s 00000000 fe:00 42 /x/pack_git2_ab"), Some((0x1000, 0x3000)));
        assert_eq!(range("1000-3000 rw-s 00000000 fe:00 42 /x/pack_git2_ab"), None);
        assert_eq!(range(""), None);
    }
}
