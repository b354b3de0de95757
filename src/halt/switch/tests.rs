use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::*;

const NOW: ReceivedAt = ReceivedAt::MIN;

fn reason(text: &str) -> Reason {
    text.to_owned().try_into().unwrap()
}

/// Somebody who records: heeds the switch at these places of the log, whenever it rings, and
/// passes it on to one shard.
fn recorder(switch: &Switch, places: &'static [u64]) -> JoinHandle<()> {
    let (bell, rung) = mpsc::sync_channel(16);
    switch.when_thrown(move || bell.send(()).unwrap());
    let (switch, mut heeded) = (switch.clone(), 0);
    thread::spawn(move || {
        for &place in places {
            rung.recv().unwrap();
            let change = switch.news(heeded).unwrap();
            heeded = change.number();
            change.begins(Seq::new(place).unwrap(), 1);
            assert!(switch.news(heeded).is_none(), "heeded once");
            change.taken_up();
        }
    })
}

#[test]
fn a_halt_is_kept_until_it_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Switch::open(folder.path()).unwrap();
    assert_eq!(switch.stand(), Stand::Lifted { to: None });
    let heeding = recorder(&switch, &[7, 9, 11]);
    let number = switch.throw(reason("one"), NOW);
    let halt = |reason: &str| Halt {
        reason: self::reason(reason),
        since: NOW,
    };
    let halted = |reason: &str| Stand::Halted {
        halt: Arc::new(halt(reason)),
        from: Seq::new(7),
    };
    assert_eq!(switch.keep(number).unwrap(), halted("one"));
    let again = Switch::open(folder.path()).unwrap();
    assert_eq!(again.stand(), halted("one"));

    let number = switch.throw(reason("two"), ReceivedAt::MAX);
    let still = switch.keep(number).unwrap();
    assert_eq!(still, halted("two"), "since then, and from there");
    let again = Switch::open(folder.path()).unwrap();
    assert_eq!(again.stand(), halted("two"));

    let lifted = Stand::Lifted { to: Some(10) };
    for _ in 0..2 {
        assert_eq!(switch.lift().unwrap(), lifted);
    }
    heeding.join().unwrap();
    let again = Switch::open(folder.path()).unwrap();
    assert_eq!(again.stand(), Stand::Lifted { to: None });
}

#[test]
fn one_that_is_older_than_the_process_began_where_it_began() {
    for (kept, head, from) in [(7, 20, 7), (7, 7, 7), (21, 20, 20)] {
        let folder = tempfile::tempdir().unwrap();
        let file = HaltFile::in_folder(folder.path());
        let halt = Halt {
            reason: reason("one"),
            since: NOW,
        };
        let from_seq = Seq::new(kept);
        let kept = Kept {
            halt: halt.clone(),
            from: from_seq,
        };
        file.save(&kept).unwrap();
        let switch = Switch::open(folder.path()).unwrap();
        let change = switch.news(0).unwrap();
        assert_eq!(change.position(), Position::Halted);
        change.begins(Seq::new(head).unwrap(), 0);
        let halt = Arc::new(halt);
        let from = Seq::new(from);
        assert_eq!(switch.stand(), Stand::Halted { halt, from });
    }
}

#[test]
fn who_does_not_heed_it_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Switch::open(folder.path()).unwrap();
    let number = switch.throw(reason("one"), NOW);
    let begin = Instant::now();
    let unfinished = switch.keep(number).unwrap_err();
    assert!(matches!(unfinished, Unfinished::NotYet), "{unfinished}");
    assert!(begin.elapsed() < 2 * PATIENCE);
    // Kept all the same, and heeded later.
    assert!(Switch::open(folder.path()).unwrap().halt().is_some());
    let change = switch.news(0).unwrap();
    change.begins(Seq::FIRST, 2);
    change.taken_up();
    assert!(switch.keep(number).is_err(), "a shard has not come to it");
    change.taken_up();
    assert!(switch.keep(number).is_ok());
}

#[test]
fn what_cannot_be_kept_holds_and_what_cannot_be_forgotten_is_not_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let switch = Switch::open(folder.path()).unwrap();
    let heeding = recorder(&switch, &[1, 1, 1]);
    // Nothing can take its place, and it can't be deleted like a file.
    let path = folder.path().join("halt.json");
    std::fs::create_dir(&path).unwrap();
    let number = switch.throw(reason("one"), NOW);
    let unfinished = switch.keep(number).unwrap_err();
    assert!(matches!(unfinished, Unfinished::NotKept(_)), "{unfinished}");
    assert!(switch.halt().is_some());
    let unfinished = switch.lift().unwrap_err();
    assert!(
        matches!(unfinished, Unfinished::NotForgotten(_)),
        "{unfinished}"
    );
    assert!(switch.halt().is_some());
    std::fs::remove_dir(&path).unwrap();
    let number = switch.throw(reason("two"), NOW);
    assert!(switch.keep(number).is_ok());
    assert_eq!(switch.lift().unwrap(), Stand::Lifted { to: Some(0) });
    heeding.join().unwrap();
}
