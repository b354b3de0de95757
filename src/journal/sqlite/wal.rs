use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use super::super::JournalError;
use super::checkpoint;

/// Whether commits that stood in this write-ahead log can't be had from it any more.
///
/// SQLite reads it up to the first page that is not what was written, and says nothing of the
/// rest: to it that is a commit that was cut off, as a crash leaves one. But behind such a commit
/// there is no other. (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>)
///
/// # Errors
/// It can't be read.
pub(super) fn is_damaged(wal: &Path) -> io::Result<bool> {
    let file = match File::open(wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let Some(bytes) = next::<HEADER>(&mut file)? else {
        return Ok(false);
    };
    let Some(header) = Header::parse(&bytes) else {
        return Ok(true);
    };
    let (mut sums, mut page) = (header.sums, vec![0; header.page_size]);
    let mut is_whole = true;
    while let Some(frame) = next::<FRAME>(&mut file)? {
        if file.read_exact(&mut page).is_err() {
            break;
        }
        let is_of_this_round = frame[8..16] == header.salts;
        if is_whole {
            sums = header.add(header.add(sums, &frame[..8]), &page);
            is_whole = is_of_this_round && (word(&frame[16..]), word(&frame[20..])) == sums;
        }
        let is_commit = word(&frame[4..]) != 0;
        if !is_whole && is_of_this_round && is_commit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether pages that this connection believes to be in the write-ahead log are not there any more,
/// because somebody has emptied the file. What is written into it then leaves a hole before it.
///
/// # Errors
/// It can't be read.
pub(super) fn is_cut_short(db: &Connection, wal: &File) -> Result<bool, JournalError> {
    let page_size: i64 = db
        .prepare_cached("PRAGMA page_size")?
        .query_row([], |row| row.get(0))?;
    let frame = FRAME as u64 + u64::try_from(page_size).unwrap_or_default();
    // Whoever empties it as SQLite does may do so between the two looks, but not between all four.
    for _ in 0..2 {
        let pages = u64::from(checkpoint::pages(db)?);
        if pages == 0 || holds(wal, HEADER as u64 + pages * frame)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it has a beginning and so many bytes.
fn holds(wal: &File, bytes: u64) -> io::Result<bool> {
    let mut header = [0; HEADER];
    Ok(wal.metadata()?.len() >= bytes
        && wal.read_at(&mut header, 0)? == HEADER
        && Header::parse(&header).is_some())
}

const HEADER: usize = 32;
const FRAME: usize = 24;

/// What stands at the beginning.
struct Header {
    page_size: usize,
    /// Others each time the file is begun anew; what is left of an earlier round lies behind.
    salts: [u8; 8],
    sums: (u32, u32),
    order: Order,
}

/// How the words that are added up are read; everything else has its highest byte first.
#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let order = match word(bytes) {
            0x377f_0682 => Order::Little,
            0x377f_0683 => Order::Big,
            _ => return None,
        };
        let mut header = Self {
            page_size: usize::try_from(word(&bytes[8..])).ok()?,
            salts: bytes[16..24].try_into().ok()?,
            sums: (0, 0),
            order,
        };
        header.sums = header.add((0, 0), &bytes[..24]);
        let is_whole = header.sums == (word(&bytes[24..]), word(&bytes[28..]));
        let is_page_size = (512..=1 << 16).contains(&header.page_size);
        (is_whole && is_page_size).then_some(header)
    }

    fn add(&self, sums: (u32, u32), bytes: &[u8]) -> (u32, u32) {
        bytes.chunks_exact(8).fold(sums, |(first, second), pair| {
            let read = |bytes: &[u8]| match self.order {
                Order::Big => word(bytes),
                Order::Little => word(bytes).swap_bytes(),
            };
            let first = first.wrapping_add(read(pair)).wrapping_add(second);
            let second = second.wrapping_add(read(&pair[4..])).wrapping_add(first);
            (first, second)
        })
    }
}

/// The word at the beginning of this.
fn word(bytes: &[u8]) -> u32 {
    let (word, _) = bytes.split_first_chunk().expect("there are four bytes");
    u32::from_be_bytes(*word)
}

/// So many bytes, or none if fewer are left.
fn next<const COUNT: usize>(file: &mut impl Read) -> io::Result<Option<[u8; COUNT]>> {
    let mut bytes = [0; COUNT];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    /// A database that was killed with ten commits of a few pages in its write-ahead log; those of
    /// an earlier round lie behind some of them.
    fn killed(folder: &Path) -> Vec<u8> {
        let db = Connection::open(folder.join("a.db")).unwrap();
        let insert = |count: usize| {
            for _ in 0..count {
                db.execute("INSERT INTO t VALUES (randomblob(10000))", [])
                    .unwrap();
            }
        };
        db.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x)")
            .unwrap();
        insert(20);
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
            .unwrap();
        insert(10);
        fs::read(folder.join("a.db-wal")).unwrap()
    }

    fn damaged(folder: &Path, wal: &[u8]) -> bool {
        let path = folder.join("wal");
        fs::write(&path, wal).unwrap();
        is_damaged(&path).unwrap()
    }

    #[test]
    fn a_commit_that_was_cut_off_is_no_damage_and_one_behind_a_bad_page_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!is_damaged(&folder.join("none")).unwrap());
        let whole = killed(folder);
        let size = FRAME + 4096;
        assert!(!damaged(folder, &whole));
        for cut in [0, 10, HEADER, HEADER + 7, HEADER + 3 * size + 100] {
            assert!(!damaged(folder, &whole[..cut]), "cut at {cut}");
        }
        let frames = whole[HEADER..].chunks(size);
        let salts = &whole[16..24];
        let last = frames.take_while(|frame| frame[8..16] == *salts).count() - 1;
        assert!(last > 10);
        for (place, is_damage) in [
            (0, true),
            (20, true),
            (HEADER + 9, true),
            (HEADER + FRAME + 1, true),
            (HEADER + 5 * size + 100, true),
            (HEADER + (last - 1) * size + 100, true),
            // The next round will write over it.
            (HEADER + (last + 1) * size + 100, false),
        ] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            assert_eq!(damaged(folder, &bytes), is_damage, "{place}");
        }
    }

    #[test]
    fn what_sqlite_has_emptied_is_not_missed_and_what_somebody_else_has_is() {
        let folder = tempfile::tempdir().unwrap();
        let wal = folder.path().join("a.db-wal");
        let db = Connection::open(folder.path().join("a.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x)")
            .unwrap();
        let insert = || db.execute("INSERT INTO t VALUES (randomblob(10000))", []);
        for _ in 0..5 {
            insert().unwrap();
        }
        let file = File::open(&wal).unwrap();
        let is_cut_short = || is_cut_short(&db, &file).unwrap();
        for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
            assert!(!is_cut_short());
            let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
            db.query_row(&checkpoint, [], |_| Ok(())).unwrap();
            assert!(!is_cut_short(), "{mode}");
            insert().unwrap();
        }
        let cut = |bytes: u64| {
            let file = File::options().write(true).open(&wal).unwrap();
            file.set_len(bytes).unwrap();
        };
        let all = fs::read(&wal).unwrap();
        for bytes in [all.len() as u64 - 1, 100, 0] {
            cut(bytes);
            assert!(is_cut_short(), "{bytes}");
        }
        // It is long enough, with a hole.
        insert().unwrap();
        assert!(fs::metadata(&wal).unwrap().len() > all.len() as u64);
        assert!(is_cut_short());
    }
}
