use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::warn;

use super::file_id::FileId;
use super::wake::Wake;
use crate::source::SourceName;

/// Wakes the follower as soon as the kernel tells of a change. What it does not tell (network
/// mounts, no watches left) the look once a second finds.
pub(super) struct Watch {
    source: SourceName,
    watcher: Option<RecommendedWatcher>,
    /// By absolute path, which is how the watcher names what changed.
    folders: HashMap<PathBuf, Folder>,
    /// Files whose folder does not tell of their changes, because they are symbolic links.
    links: HashSet<PathBuf>,
    complained: bool,
}

struct Folder {
    /// Its path as the source's pattern writes it.
    shown: PathBuf,
    id: FileId,
}

/// What a change that the watcher has reported is about.
pub(super) enum Changed {
    /// This path, as the source's pattern writes it.
    Path(PathBuf),
    /// A watched folder itself, maybe gone.
    Folder,
}

impl Watch {
    pub(super) fn new(source: SourceName, wake: Arc<Wake>) -> Self {
        let mut watch = Self {
            source,
            watcher: None,
            folders: HashMap::new(),
            links: HashSet::new(),
            complained: false,
        };
        match notify::recommended_watcher(move |event| tell(&wake, event)) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(why) => watch.complain(&why),
        }
        watch
    }

    /// Watches these folders, as far as they are there, and no others.
    pub(super) fn follow_folders(&mut self, shown: Vec<PathBuf>) {
        let there: HashMap<PathBuf, Folder> = shown
            .into_iter()
            .filter_map(|shown| {
                let path = absolute(&shown)?;
                let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_dir)?;
                let id = FileId::of(&metadata);
                Some((path, Folder { shown, id }))
            })
            .collect();
        // A folder that was replaced by another one needs a new watch.
        let outdated: Vec<PathBuf> = self
            .folders
            .iter()
            .filter(|(path, old)| there.get(*path).is_none_or(|new| new.id != old.id))
            .map(|(path, _)| path.clone())
            .collect();
        for path in outdated {
            self.folders.remove(&path);
            self.unwatch(&path);
        }
        for (path, folder) in there {
            if !self.folders.contains_key(&path) && self.watch(&path) {
                self.folders.insert(path, folder);
            }
        }
    }

    /// Watches this file itself if it is a symbolic link. To be called again when it points to
    /// another file.
    pub(super) fn follow_link(&mut self, shown: &Path) {
        let Some(path) = absolute(shown) else { return };
        if self.links.remove(&path) {
            self.unwatch(&path);
        }
        if fs::symlink_metadata(&path).is_ok_and(|link| link.is_symlink()) && self.watch(&path) {
            self.links.insert(path);
        }
    }

    /// This file is not followed any more.
    pub(super) fn forget_link(&mut self, shown: &Path) {
        if !self.links.is_empty()
            && let Some(path) = absolute(shown)
            && self.links.remove(&path)
        {
            self.unwatch(&path);
        }
    }

    /// What a path that the watcher has reported means; `None`: nothing to us.
    pub(super) fn resolve(&mut self, path: &Path) -> Option<Changed> {
        if self.folders.remove(path).is_some() {
            self.unwatch(path);
            return Some(Changed::Folder);
        }
        let folder = self.folders.get(path.parent()?)?;
        Some(Changed::Path(folder.shown.join(path.file_name()?)))
    }

    fn watch(&mut self, path: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(why) => {
                // One that went away just now is no trouble.
                if path.exists() {
                    self.complain(&why);
                }
                false
            }
        }
    }

    fn unwatch(&mut self, path: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // The kernel has dropped the watch by itself if the folder is gone.
            let _ = watcher.unwatch(path);
        }
    }

    fn complain(&mut self, why: &notify::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            warn!(
                source = %self.source, %why,
                "no news of file changes, looking every second instead; \
                 raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"
            );
        }
    }
}

fn tell(wake: &Wake, event: notify::Result<notify::Event>) {
    match event {
        // Being opened and closed changes nothing; our own reading does that, too.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if event.need_rescan() => wake.look(),
        Ok(event) => wake.changed(event.paths),
        Err(_) => wake.look(),
    }
}

fn absolute(path: &Path) -> Option<PathBuf> {
    if path.as_os_str().is_empty() {
        return std::env::current_dir().ok();
    }
    std::path::absolute(path).ok()
}
