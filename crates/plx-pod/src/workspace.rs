//! The pod's folder: its context root, made before and removed after the run.

use crate::plan::Pod;
use crate::settings::Settings;
use crate::term;
use plx_contract::Class;
use plx_runtime::Failure;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A pod's folder that belongs to this process while it lives.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    /// Nobody else runs this pod.
    _lock: File,
    /// An earlier run's folder that a dry run leaves as it is.
    borrowed: bool,
}

impl Workspace {
    /// Makes the pod's folder and those of the stores. What an earlier attempt left is moved aside, not lost: a pod
    /// begins with empty volumes, and the folder was kept because something in it may not be stored.
    ///
    /// # Errors
    /// When a folder cannot be made, or the pod is running already.
    pub fn open(settings: &Settings, pod: &Pod, create: &[PathBuf]) -> Result<Self, Failure> {
        for dir in create {
            make(dir)?;
        }
        let dir = settings.pod_dir();
        let existed = dir.is_dir();
        make(&dir)?;
        let mut lock = lock(&dir)?;
        let borrowed = existed && settings.dry_run;
        if existed && !borrowed {
            let aside = free_name(&dir);
            std::fs::rename(&dir, &aside).map_err(|error| failed("move", &dir, &error))?;
            term::note(&format!("the folder of an earlier attempt is now {}", aside.display()));
            make(&dir)?;
            lock = self::lock(&dir)?;
        }
        if !settings.dry_run {
            for folder in &pod.folders {
                make(folder)?;
                let open = Permissions::from_mode(0o777); // whatever the umask: containers of a pod differ in user
                std::fs::set_permissions(folder, open).map_err(|error| failed("open", folder, &error))?;
            }
        }
        make(&dir.join("reports"))?;
        let dirs = pod.inits.iter().chain([&pod.main]).filter_map(|container| container.dir.as_deref());
        for inside in dirs.filter(|inside| inside.starts_with(&dir)) {
            make(inside)?; // as a container's runtime does
        }
        Ok(Self { dir, _lock: lock, borrowed })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the folder. One that cannot be removed is named, and harms nothing.
    pub fn remove(self) {
        if self.borrowed {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            term::note(&format!("{} is left: {error}", self.dir.display()));
        }
    }
}

fn make(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|error| failed("make", dir, &error))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Class::CannotWrite, format!("{what} {}: {error}", path.display()))
        .with_next("make it writable, or use another folder with --work-dir")
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|error| failed("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(Class::CannotWrite, format!("the pod in {} is running already", dir.display()))
                .with_next("wait for its end, or give another --run-uuid"))
        }
        Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
    }
}

fn free_name(dir: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|path| !path.exists()).expect("there are more numbers than folders")
}
