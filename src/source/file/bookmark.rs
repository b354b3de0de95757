//! What the log keeps of a `file:` source from one start of the server to the next.
//!
//! Each followed file has up to three parts, so that a read writes only what it has changed: its
//! mark (`8:1234`), how it begins (`8:1234 head`), and what it was before it was begun anew
//! (`8:1234 ended`). The other parts are of what could not be opened yet (`unopened PATH`,
//! `unread FOLDER`), and one says that the source was started at all (`started`).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, fmt};

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file_id::FileId;
use super::unopened::There;
use crate::source::{Bookmark, Mark, SourceName};

/// Where reading goes on in a file, and what tells that it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileMark {
    pub(super) path: StoredPath,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// When the file was made, in nanoseconds since 1970, if its file system tells: an inode is
    /// given to another file as soon as its own is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) born: Option<u64>,
    /// When it was last written to, likewise, as far as that was looked at: never too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<u64>,
    /// Start of the first line that was not handed over.
    pub(super) offset: u64,
    /// Its number, if the lines before it were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// The up to 256 bytes before it.
    pub(super) tail: Bytes,
    /// How often the file was begun anew.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) generation: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) standing: Standing,
    /// Nothing but zeros was read since it was begun anew.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) in_hole: bool,
    /// It had lost its name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) renamed: bool,
}

/// Whether it is read like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    #[default]
    Cleared,
    New,
    CopyOf {
        device: u64,
        inode: u64,
        generation: u64,
        read: u64,
    },
}

/// What a file was before it was begun anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outline {
    pub(super) head: Bytes,
    pub(super) tail: Bytes,
    pub(super) length: u64,
}

/// All that the log knows of one file.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) mark: FileMark,
    /// The first of the bytes before that.
    pub(super) head: Vec<u8>,
    pub(super) ended: Vec<Outline>,
}

/// All that the log knows of a source.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) files: Vec<Kept>,
    pub(super) unopened: Vec<(PathBuf, Option<There>)>,
    pub(super) unread_folders: Vec<PathBuf>,
}

/// Bytes, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// A path as text; one that is not UTF-8 in base64 after a NUL, which no path has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredPath(pub(super) PathBuf);

/// A part of the source that this version does not understand.
#[derive(Debug, thiserror::Error)]
#[error("{part:?} is not understood")]
pub struct Unreadable {
    part: Box<str>,
    #[source]
    why: serde_json::Error,
}

pub(super) const STARTED: &str = "started";
const UNOPENED: &str = "unopened ";
const UNREAD: &str = "unread ";
const HEAD: &str = " head";
const ENDED: &str = " ended";

impl Remembered {
    pub(super) fn read(bookmarks: Vec<Bookmark>) -> Result<Self, Unreadable> {
        let mut remembered = Self::default();
        let (mut heads, mut endings) = (BTreeMap::new(), BTreeMap::new());
        for Bookmark { part, mark, .. } in bookmarks {
            let Mark::At(mark) = mark else { continue };
            if &*part == STARTED {
                continue;
            }
            if let Some(path) = part.strip_prefix(UNOPENED) {
                let path = StoredPath::parse(path).map_err(|why| unreadable(&part, why))?;
                let there = parse(&part, &mark)?;
                remembered.unopened.push((path.0, there));
            } else if let Some(path) = part.strip_prefix(UNREAD) {
                let path = StoredPath::parse(path).map_err(|why| unreadable(&part, why))?;
                remembered.unread_folders.push(path.0);
            } else if let Some(file) = part.strip_suffix(HEAD) {
                let Bytes(head) = parse(&part, &mark)?;
                heads.insert(file.to_owned(), head);
            } else if let Some(file) = part.strip_suffix(ENDED) {
                let ended: Vec<Outline> = parse(&part, &mark)?;
                endings.insert(file.to_owned(), ended);
            } else {
                remembered.files.push(Kept {
                    mark: parse(&part, &mark)?,
                    head: Vec::new(),
                    ended: Vec::new(),
                });
            }
        }
        for kept in &mut remembered.files {
            let file = kept.id().to_string();
            kept.head = heads.remove(&file).unwrap_or_default();
            let offset = usize::try_from(kept.mark.offset).unwrap_or(usize::MAX);
            kept.head.truncate(offset);
            kept.ended = endings.remove(&file).unwrap_or_default();
        }
        Ok(remembered)
    }
}

impl Kept {
    pub(super) fn id(&self) -> FileId {
        FileId::new(self.mark.device, self.mark.inode)
    }

    pub(super) fn path(&self) -> &Path {
        &self.mark.path.0
    }
}

/// What is handed over of one source.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) source: &'a SourceName,
    pub(super) bookmarks: Vec<Bookmark>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(source: &'a SourceName) -> Self {
        Self {
            source,
            bookmarks: Vec::new(),
        }
    }

    pub(super) fn started(&mut self) {
        self.set(STARTED.to_owned(), &true);
    }

    pub(super) fn mark(&mut self, id: FileId, mark: &FileMark) {
        self.set(id.to_string(), mark);
    }

    pub(super) fn head(&mut self, id: FileId, head: &[u8]) {
        self.set(format!("{id}{HEAD}"), &Bytes(head.to_vec()));
    }

    pub(super) fn ended(&mut self, id: FileId, ended: &[Outline]) {
        self.set(format!("{id}{ENDED}"), &ended);
    }

    /// This file is no more.
    pub(super) fn forget(&mut self, id: FileId) {
        for part in ["", HEAD, ENDED] {
            self.drop_part(format!("{id}{part}"));
        }
    }

    pub(super) fn unopened(&mut self, path: &Path, there: Option<There>) {
        self.set(format!("{UNOPENED}{}", StoredPath(path.to_owned())), &there);
    }

    pub(super) fn opened(&mut self, path: &Path) {
        self.drop_part(format!("{UNOPENED}{}", StoredPath(path.to_owned())));
    }

    pub(super) fn unread_folder(&mut self, path: &Path) {
        self.set(format!("{UNREAD}{}", StoredPath(path.to_owned())), &true);
    }

    pub(super) fn read_folder(&mut self, path: &Path) {
        self.drop_part(format!("{UNREAD}{}", StoredPath(path.to_owned())));
    }

    fn set(&mut self, part: String, mark: &impl Serialize) {
        let mark = serde_json::to_string(mark).expect("it has no maps and nothing that fails");
        self.bookmarks.push(Bookmark {
            source: self.source.clone(),
            part: part.into(),
            mark: Mark::At(mark.into()),
        });
    }

    fn drop_part(&mut self, part: String) {
        self.bookmarks.push(Bookmark {
            source: self.source.clone(),
            part: part.into(),
            mark: Mark::Gone,
        });
    }
}

fn parse<'a, T: Deserialize<'a>>(part: &str, mark: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(mark).map_err(|why| unreadable(part, why))
}

fn unreadable(part: &str, why: serde_json::Error) -> Unreadable {
    Unreadable {
        part: part.into(),
        why,
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

impl StoredPath {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Some(bytes) = text.strip_prefix('\0') else {
            return Ok(Self(text.into()));
        };
        let bytes = STANDARD.decode(bytes).map_err(serde_json::Error::custom)?;
        Ok(Self(OsString::from_vec(bytes).into()))
    }
}

impl fmt::Display for StoredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_str() {
            Some(text) => f.write_str(text),
            None => {
                let bytes = self.0.as_os_str().as_bytes();
                write!(f, "\0{}", Base64Display::new(bytes, &STANDARD))
            }
        }
    }
}

impl Serialize for StoredPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoredPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}
