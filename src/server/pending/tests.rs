use futures::future::poll_immediate;

use super::*;

/// With 32 places for each stage.
fn pending() -> Arc<Pending> {
    let clients = watch::Sender::new(0);
    Arc::new(Pending::new(Room::new(Some(164)), clients.subscribe()))
}

/// Those that were told to end.
fn ended(registrations: &[AbortRegistration]) -> Vec<usize> {
    let aborted = |(place, registration): (usize, &AbortRegistration)| {
        registration.handle().is_aborted().then_some(place)
    };
    registrations
        .iter()
        .enumerate()
        .filter_map(aborted)
        .collect()
}

#[test]
fn the_oldest_silent_one_goes_first_and_whoever_spoke_stays() {
    let pending = pending();
    let (mut openings, mut registrations) = (Vec::new(), Vec::new());
    for number in 0..43 {
        let (opening, registration) = pending.enter();
        opening.waits(match number % 10 {
            0 => Stage::Begun,
            5 => Stage::Ours,
            _ => Stage::Silent,
        });
        openings.push(opening);
        registrations.push(registration);
    }
    assert_eq!(ended(&registrations), [1, 2]);
    // Its place is given back once.
    openings.truncate(42);
    drop(openings);
    let stages = pending.stages();
    assert_eq!(stages.leaving, 0);
    let left = [Stage::Ours, Stage::Silent, Stage::Begun].map(|stage| stages.count(stage));
    assert_eq!(left, [0; 3]);
}

#[test]
fn those_that_spoke_and_stalled_do_not_crowd_out_those_that_are_new() {
    let pending = pending();
    let (mut openings, mut registrations) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let (opening, registration) = pending.enter();
        opening.waits(Stage::Begun);
        openings.push(opening);
        registrations.push(registration);
    }
    assert_eq!(ended(&registrations), (0..68).collect::<Vec<_>>());
    let (new, registration) = pending.enter();
    new.waits(Stage::Silent);
    openings[0].waits(Stage::Begun);
    assert!(!registration.handle().is_aborted());
}

#[tokio::test]
async fn whoever_waits_for_an_answer_of_ours_is_not_crowded_out() {
    let pending = pending();
    let crowd = || -> Vec<_> {
        (0..100)
            .map(|_| {
                let (opening, registration) = pending.enter();
                opening.waits(Stage::Begun);
                (opening, registration)
            })
            .collect()
    };
    let (waiting, told) = pending.enter();
    waiting.waits(Stage::Begun);
    let among_the_crowd = waiting.handle().while_ours(async { crowd() }).await;
    assert!(
        !told.handle().is_aborted(),
        "it was answered a moment ago, however old it is"
    );
    drop(among_the_crowd);
    drop(crowd());
    assert!(told.handle().is_aborted(), "it does not take the answer");
}

#[tokio::test]
async fn those_that_wait_for_the_log_keep_nobody_out_and_none_of_them_is_dropped() {
    let pending = pending();
    let (mut openings, mut registrations) = (Vec::new(), Vec::new());
    for _ in 0..96 {
        let (opening, registration) = pending.enter();
        opening.waits(Stage::Log);
        openings.push(opening);
        registrations.push(registration);
    }
    assert!(poll_immediate(pending.keep_pace()).await.is_some());
    let error = io::Error::from_raw_os_error(24);
    pending.make_room(&error, true).await;
    assert!(ended(&registrations).is_empty());
    // Their places are given back.
    drop(openings);
    assert_eq!(pending.stages().count(Stage::Log), 0);
}

#[test]
fn whoever_is_known_is_crowded_out_once_he_is_answered_and_takes_no_answer() {
    let pending = pending();
    let crowd = |stage| {
        let each = (0..100).map(|_| {
            let (opening, registration) = pending.enter();
            opening.waits(stage);
            (opening, registration)
        });
        drop(each.collect::<Vec<_>>());
    };
    let (known, told) = pending.enter();
    known.handle().is_known();
    crowd(Stage::Begun);
    assert!(!told.handle().is_aborted());
    known.was_answered();
    crowd(Stage::Begun);
    assert!(told.handle().is_aborted());
    let (known, told) = pending.enter();
    known.handle().is_known();
    crowd(Stage::Known);
    assert!(told.handle().is_aborted(), "they are too many themselves");
}

#[tokio::test(start_paused = true)]
async fn when_descriptors_have_run_out_a_quarter_makes_room() {
    let pending = pending();
    let make_room = async |somebody_waits| {
        let error = io::Error::from_raw_os_error(24);
        pending.make_room(&error, somebody_waits).await;
    };
    let (first, told_first) = pending.enter();
    first.waits(Stage::Begun);
    let (mut silent, mut told) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (opening, registration) = pending.enter();
        opening.waits(Stage::Silent);
        silent.push(opening);
        told.push(registration);
    }
    make_room(false).await;
    assert!(ended(&told).is_empty());
    make_room(true).await;
    assert_eq!(ended(&told), [0, 1]);
    // They are on their way out: nobody else needs to go.
    make_room(true).await;
    assert_eq!(ended(&told), [0, 1]);
    drop(silent);
    assert!(!told_first.handle().is_aborted());
    make_room(true).await;
    assert!(told_first.handle().is_aborted());
}

#[tokio::test]
async fn however_many_files_there_are_few_wait_for_us_at_once() {
    let clients = watch::Sender::new(0);
    let pending = Arc::new(Pending::new(Room::new(None), clients.subscribe()));
    let mut waiting: Vec<_> = (0..MOST_OF_OURS).map(|_| pending.enter()).collect();
    assert!(poll_immediate(pending.keep_pace()).await.is_none());
    waiting.pop();
    assert!(poll_immediate(pending.keep_pace()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn when_many_wait_for_us_no_more_are_accepted_until_one_is_looked_at() {
    let pending = pending();
    let waiting: Vec<_> = (0..32).map(|_| pending.enter()).collect();
    let accepting = async || {
        let soon = Duration::from_secs(1);
        tokio::time::timeout(soon, pending.keep_pace()).await
    };
    assert!(accepting().await.is_err());
    waiting[7].0.waits(Stage::Silent);
    assert!(accepting().await.is_ok());
    waiting[7].0.waits(Stage::Ours);
    assert!(accepting().await.is_err());
    let look = async { waiting[9].0.waits(Stage::Begun) };
    let (accepted, ()) = tokio::join!(accepting(), look);
    assert!(accepted.is_ok());
}
