use super::*;

/// So many clients that are to get all from 0 on.
fn fed(clients: usize) -> Tally {
    Tally::new(Rule::All(0), &vec![Some(Wanted::ALL); clients], 1)
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
    assert_eq!(tally.latency_each.spread().count, 6);
    assert_eq!(tally.latency_last.spread().count, 3);
}

#[test]
fn a_loss_a_repeat_and_a_disorder_are_told_apart() {
    let mut tally = fed(1);
    get(&mut tally, 0, &[0, 2, 2, 4, 3, 5]);
    assert_eq!(judged(&tally, 6), (5, 1, 1, 1));
}

#[test]
fn thousands_of_losses_are_all_counted_and_a_late_one_is_no_repeat() {
    let mut tally = fed(1);
    let even: Vec<u64> = (0..10_000).step_by(2).collect();
    get(&mut tally, 0, &even);
    assert_eq!(judged(&tally, 10_000), (5000, 5000, 0, 0));
    get(&mut tally, 0, &[1]);
    assert_eq!(judged(&tally, 10_000), (5001, 4999, 0, 1));
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
    tally.client_gone(2);
    assert_eq!((tally.completed(), tally.present()), (3, 2));
    get(&mut tally, 0, &[3]);
    get(&mut tally, 1, &[3]);
    assert_eq!(tally.completed(), 4);
    assert_eq!(judged(&tally, 4), (8, 4, 0, 0));
}

#[test]
fn without_knowing_the_feed_clients_are_compared_with_each_other() {
    let mut tally = Tally::new(Rule::AsTheOthers, &[Some(Wanted::ALL); 3], 1);
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
    let mut tally = Tally::new(Rule::AsTheOthers, &[Some(Wanted::ALL)], 1);
    for number in [1_720_000_000_000_u64, 1_730_000_000_000] {
        tally.record(0, Mark { number, sent: None }, Moment(1));
    }
    assert_eq!((tally.delivered, tally.unnumbered), (1, 1));
}

#[test]
fn the_highest_number_of_all_is_no_count() {
    let mut tally = Tally::new(Rule::AsTheOthers, &[Some(Wanted::ALL)], 1);
    get(&mut tally, 0, &[u64::MAX, u64::MAX - 1, 7]);
    assert_eq!((tally.unnumbered, tally.delivered), (2, 1));
}

#[test]
fn a_client_that_never_came_is_not_waited_for() {
    let mut tally = Tally::new(Rule::All(0), &[Some(Wanted::ALL), None], 1);
    get(&mut tally, 0, &[0, 1]);
    assert_eq!((tally.completed(), tally.present()), (2, 1));
    assert_eq!(judged(&tally, 2), (2, 0, 0, 0));
    assert_eq!(tally.latency_last.spread().count, 2);
}

#[test]
fn a_filtered_client_is_to_get_its_symbol_and_nothing_else() {
    // Of three symbols the second client wants the first, nobody but the third client the others.
    let wanted = [100, 100, 0].map(|percent| Some(Wanted::by(0, percent, 3)));
    let mut tally = Tally::new(Rule::All(0), &wanted, 3);
    get(&mut tally, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    get(&mut tally, 0, &[0, 3, 6, 9]);
    assert_eq!(tally.completed(), 0);
    get(&mut tally, 1, &[0, 4, 9]);
    assert_eq!(tally.completed(), 10);
    assert_eq!(judged(&tally, 10), (16, 2, 0, 0));
    assert_eq!((tally.unasked, tally.losses(10).clients), (1, 1));
    assert_eq!(tally.expected(&(0..10)), 18);
    // The first, the one that two have, and the last; and those of one client alone.
    assert_eq!(tally.latency_last.spread().count, 8);
    tally.client_gone(1);
    get(&mut tally, 2, &[10, 11, 12]);
    get(&mut tally, 0, &[12]);
    assert_eq!((tally.completed(), tally.present()), (13, 2));
}

#[test]
fn what_nobody_asks_for_is_waited_for_by_nobody() {
    let mut tally = Tally::new(Rule::All(1), &[Some(Wanted::by(0, 100, 4))], 4);
    assert_eq!(tally.completed(), 4);
    // The first is of a warm-up.
    get(&mut tally, 0, &[0, 4]);
    assert_eq!(tally.unnumbered, 1);
    assert_eq!(tally.completed(), 8);
    assert_eq!(judged(&tally, 12), (1, 1, 0, 0));
}
