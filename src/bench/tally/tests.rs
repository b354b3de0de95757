use super::*;

/// So many clients that are to get all from 0 on.
fn fed(clients: usize) -> Tally {
    Tally::new(Rule::All(0), &vec![true; clients])
}

/// These numbers reach a client, at 1, 2, 3 … ns; each was sent at 0.
fn get(tally: &mut Tally, client: usize, numbers: &[u64]) {
    for (at, &number) in (1..).zip(numbers) {
        let sent = Some(Moment(0));
        tally.record(client, Mark { number, sent }, Moment(at));
    }
}

fn judged(tally: &Tally, end: u64) -> (u64, u64, u64, u64) {
    (
        tally.delivered,
        tally.losses(end).signals,
        tally.repeated,
        tally.disordered,
    )
}

#[test]
fn what_comes_once_and_in_order_is_fine() {
    let mut tally = fed(2);
    get(&mut tally, 0, &[0, 1, 2]);
    assert_eq!(tally.completed(), 0);
    get(&mut tally, 1, &[0, 1, 2]);
    assert_eq!(tally.completed(), 3);
    assert_eq!(judged(&tally, 3), (6, 0, 0, 0));
    assert_eq!(tally.each.spread().count, 6);
    assert_eq!(tally.last.spread().count, 3);
}

#[test]
fn a_loss_a_repeat_and_a_disorder_are_told_apart() {
    let mut tally = fed(1);
    get(&mut tally, 0, &[0, 2, 2, 4, 3, 5]);
    assert_eq!(judged(&tally, 6), (5, 1, 1, 1));
}

#[test]
fn what_never_came_at_the_end_is_lost() {
    let mut tally = fed(2);
    get(&mut tally, 0, &[0, 1]);
    assert_eq!(judged(&tally, 4), (2, 6, 0, 0));
    let losses = tally.losses(4);
    assert_eq!(losses.clients, 2);
}

#[test]
fn a_loss_and_a_client_that_is_gone_hold_up_nobody() {
    let mut tally = fed(3);
    get(&mut tally, 0, &[0, 1, 2]);
    get(&mut tally, 1, &[0, 2]);
    get(&mut tally, 2, &[0]);
    assert_eq!(tally.completed(), 1);
    tally.lose(2);
    assert_eq!((tally.completed(), tally.present()), (3, 2));
    get(&mut tally, 0, &[3]);
    get(&mut tally, 1, &[3]);
    assert_eq!(tally.completed(), 4);
    assert_eq!(judged(&tally, 4), (8, 4, 0, 0));
}

#[test]
fn without_knowing_the_feed_clients_are_compared_with_each_other() {
    let mut tally = Tally::new(Rule::AsTheOthers, &[true; 3]);
    let mut get = |client, numbers: &[u64]| {
        for &number in numbers {
            tally.record(client, Mark { number, sent: None }, Moment(10));
        }
    };
    // A filter leaves out all but every tenth; the second client has begun earlier.
    get(0, &[1010, 1020, 1030, 1040]);
    get(1, &[1000, 1010, 1020, 1040, 1030]);
    get(2, &[1010, 1010, 1040]);
    assert_eq!(judged(&tally, 0), (11, 2, 1, 1));
    assert_eq!(tally.losses(0).clients, 1);
}

#[test]
fn a_number_that_jumps_like_a_clock_is_no_count() {
    let mut tally = Tally::new(Rule::AsTheOthers, &[true]);
    for number in [1_720_000_000_000_u64, 1_730_000_000_000] {
        tally.record(0, Mark { number, sent: None }, Moment(1));
    }
    assert_eq!((tally.delivered, tally.unnumbered), (1, 1));
}

#[test]
fn a_client_that_never_came_is_not_waited_for() {
    let mut tally = Tally::new(Rule::All(0), &[true, false]);
    get(&mut tally, 0, &[0, 1]);
    assert_eq!((tally.completed(), tally.present()), (2, 1));
    assert_eq!(judged(&tally, 2), (2, 0, 0, 0));
    assert_eq!(tally.last.spread().count, 2);
}
