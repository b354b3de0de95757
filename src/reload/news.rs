use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::debug;

/// Tells as soon as the kernel does that files may have changed. What it does not tell (network
/// mounts, files behind links, folders that are replaced) the look every second finds.
pub(super) struct News {
    bell: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl News {
    /// Of all that happens in the folders of these files: a name in one may be a link, and the
    /// link's target another name there, which is what gets replaced (Kubernetes mounts secrets
    /// that way).
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        let bell = Arc::new(Notify::new());
        let folders: BTreeSet<&Path> = files.filter_map(Path::parent).collect();
        let watcher = watch(&folders, &bell).inspect_err(no_news).ok();
        Self {
            bell,
            _watcher: watcher,
        }
    }

    /// Until something may have changed. However much it was, it is told once.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&self) {
        self.bell.notified().await;
    }
}

fn watch(folders: &BTreeSet<&Path>, bell: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let bell = Arc::clone(bell);
    let mut watcher = notify::recommended_watcher(move |event| ring(&bell, event))?;
    for folder in folders {
        let here = folder.as_os_str().is_empty();
        let folder = if here { Path::new(".") } else { folder };
        // Others may still be watched.
        let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
        watched.unwrap_or_else(|why| no_news(&why));
    }
    Ok(watcher)
}

fn no_news(why: &notify::Error) {
    debug!(%why, "no news of changed keys, looking every second");
}

fn ring(bell: &Notify, event: notify::Result<notify::Event>) {
    // Being opened and closed changes nothing; our own reading does that, too.
    let changes = !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
    if changes {
        bell.notify_one();
    }
}
