use std::path::{Component, Path, PathBuf};

use glob::{GlobError, MatchOptions, Pattern, glob_with};

/// Which files a source follows: one path, or all that match a glob.
#[derive(Debug)]
pub(super) struct Selection {
    pattern: Pattern,
    is_glob: bool,
    /// Patterns of the folders in which matching files, or folders on the way to them, can
    /// appear; only the first has no wildcard.
    folders: Vec<String>,
}

impl Selection {
    pub(super) fn new(pattern: &Pattern) -> Self {
        // `./a//b` and `a/b` are the same path, and glob writes the second: so do we.
        let path: PathBuf = Path::new(pattern.as_str())
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect();
        let text = path.to_string_lossy();
        let is_glob = has_wildcard(&text);
        let mut folders: Vec<String> = path
            .ancestors()
            .skip(1)
            .map(|folder| folder.to_string_lossy().into_owned())
            .collect();
        let literal = folders
            .iter()
            .position(|folder| !has_wildcard(folder))
            .unwrap_or_default();
        folders.truncate(literal + 1);
        folders.reverse();
        Self {
            pattern: Pattern::new(&text).unwrap_or_else(|_| pattern.clone()),
            is_glob,
            folders,
        }
    }

    /// The paths that match now, or for a single path that path, there or not, in order.
    pub(super) fn paths(&self, complain: impl FnMut(&GlobError)) -> Vec<PathBuf> {
        if self.is_glob {
            expand(self.pattern.as_str(), complain)
        } else {
            vec![self.pattern.as_str().into()]
        }
    }

    /// The folders to watch that are there now.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in &self.folders {
            if has_wildcard(folder) {
                folders.extend(expand(folder, |_| {}));
            } else {
                folders.push(folder.into());
            }
        }
        folders
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        if self.is_glob {
            self.pattern.matches_path_with(path, OPTIONS)
        } else {
            path == Path::new(self.pattern.as_str())
        }
    }

    /// Whether this path is among those, however the one and the other are written.
    pub(super) fn names(&self, path: &Path) -> bool {
        let Ok(path) = std::path::absolute(path) else {
            return false;
        };
        let pattern = Path::new(self.pattern.as_str());
        if pattern.is_absolute() {
            return self.matches(&path);
        }
        std::env::current_dir().is_ok_and(|folder| {
            // The folder's own name may have wildcards in it, but it is no pattern.
            path.strip_prefix(folder)
                .is_ok_and(|path| self.matches(path))
        })
    }

    /// The pattern from the root on: the same for all spellings of it.
    pub(super) fn absolute(&self) -> PathBuf {
        let folder = std::env::current_dir().unwrap_or_default();
        // The folder's own name may have wildcards in it, but it is no pattern.
        let folder = Pattern::escape(&folder.to_string_lossy());
        Path::new(&folder).join(self.pattern.as_str())
    }

    /// Whether a new folder can hold matching files.
    pub(super) fn spans_folders(&self) -> bool {
        self.folders.len() > 1
    }
}

/// Names that are not UTF-8 match nothing. Hidden ones are sorted out here, because glob panics when
/// it does that and meets a name that is not UTF-8, whether that would match or not.
fn expand(pattern: &str, mut complain: impl FnMut(&GlobError)) -> Vec<PathBuf> {
    let hidden_too = MatchOptions {
        require_literal_leading_dot: false,
        ..OPTIONS
    };
    // The spec was refused if the pattern is bad.
    let (Ok(found), Ok(whole)) = (glob_with(pattern, hidden_too), Pattern::new(pattern)) else {
        return Vec::new();
    };
    let mut told = |why: &GlobError| {
        if !is_hidden(why.path(), pattern) {
            complain(why);
        }
    };
    found
        .filter_map(|path| path.inspect_err(&mut told).ok())
        .filter(|path| whole.matches_path_with(path, OPTIONS))
        .collect()
}

/// Whether a wildcard would have to stand for a name that begins with a dot.
fn is_hidden(path: &Path, pattern: &str) -> bool {
    let hidden = |part: &Component<'_>| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b"."));
    path.components().filter(hidden).any(|part| {
        !Path::new(pattern)
            .components()
            .any(|literal| literal == part)
    })
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// As in a shell: `*` finds no hidden files, such as those that editors and rsync write to.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn folders(pattern: &str) -> Vec<String> {
        Selection::new(&Pattern::new(pattern).unwrap()).folders
    }

    #[test]
    fn folders_are_watched_from_the_first_without_a_wildcard() {
        assert_eq!(folders("live.jsonl"), [""]);
        assert_eq!(folders("*.jsonl"), [""]);
        assert_eq!(folders("/live.jsonl"), ["/"]);
        assert_eq!(folders("./signals/*.jsonl"), ["signals"]);
        assert_eq!(folders("/a/b*/c/*.jsonl"), ["/a", "/a/b*", "/a/b*/c"]);
        assert_eq!(folders("a/**/*.jsonl"), ["a", "a/**"]);
    }

    #[test]
    fn two_spellings_of_a_path_are_the_same() {
        let absolute = |pattern: &str| Selection::new(&Pattern::new(pattern).unwrap()).absolute();
        let folder = std::env::current_dir().unwrap();
        for pattern in ["live.jsonl", "signals/*.jsonl"] {
            let from_root = folder.join(pattern);
            for spelling in [&*format!(".//{pattern}"), from_root.to_str().unwrap()] {
                assert_eq!(absolute(spelling), absolute(pattern), "{spelling}");
            }
        }
        assert_ne!(absolute("live.jsonl"), absolute("/live.jsonl"));
        assert_ne!(absolute("*.jsonl"), absolute("live.jsonl"));
    }

    #[test]
    fn a_star_matches_as_in_a_shell() {
        let selection = Selection::new(&Pattern::new("./signals/*.jsonl").unwrap());
        for (path, expected) in [
            ("signals/live.jsonl", true),
            ("signals/.live.jsonl", false),
            ("signals/old/live.jsonl", false),
            ("signals/live.jsonl.1", false),
        ] {
            assert_eq!(selection.matches(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf_8_and_hidden_ones_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for made in ["old", ".git", ".literal"] {
            fs::create_dir(at(made)).unwrap();
        }
        let files = [
            "a.jsonl",
            ".b.jsonl",
            "old/c.jsonl",
            ".git/d.jsonl",
            ".literal/e.jsonl",
        ];
        for file in files {
            fs::write(at(file), "").unwrap();
        }
        for name in [&b"\xff.jsonl"[..], b"\xfe.tmp"] {
            fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        let selection =
            |pattern| Selection::new(&Pattern::new(at(pattern).to_str().unwrap()).unwrap());
        for (pattern, found) in [
            ("*.jsonl", &["a.jsonl"][..]),
            ("**/*.jsonl", &["a.jsonl", "old/c.jsonl"]),
            (".literal/*.jsonl", &[".literal/e.jsonl"]),
        ] {
            let found: Vec<_> = found.iter().copied().map(at).collect();
            let complain = |why: &GlobError| panic!("{why}");
            assert_eq!(selection(pattern).paths(complain), found, "{pattern}");
        }
        let folders = selection("**/*.jsonl").folders();
        assert!(folders.contains(&at("old")), "{folders:?}");
        assert!(!folders.contains(&at(".git")), "{folders:?}");
    }
}
