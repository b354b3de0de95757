//! What `signalcast bench` says of servers that lose, repeat or mix up what they are fed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Shutdown, TcpListener};
use std::thread;

use rustix::process::{Pid, Signal};
use tokio_tungstenite::tungstenite::{self, Message};

mod benching;
mod common;

use benching::{Client, Feed, bench_scripted, ended, started, thirty};
use common::{Folder, wait_until};

#[test]
fn a_client_says_hello_and_several_lines_in_one_message_count_each() {
    for (hello, sent) in [
        ("subscribe all", Message::text("subscribe all")),
        ("base64:gAECAw==", Message::binary(vec![0x80, 1, 2, 3])),
    ] {
        let pairs = move |clients: &mut [Client], feed: &mut Feed| {
            for client in &mut *clients {
                assert_eq!(client.read().unwrap(), sent);
            }
            for pair in thirty(feed).chunks(2) {
                for client in &mut *clients {
                    client.send(Message::text(pair.join("\r\n"))).unwrap();
                }
            }
        };
        let arguments = format!("{THIRTY} --rate 1000 --hello");
        let run = bench_scripted(2, pairs, &arguments, &[hello]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
        assert_eq!(run.judged(), [60, 0, 0, 0]);
    }
}

#[test]
fn what_a_server_loses_repeats_or_mixes_up_is_told() {
    let faults: [(Fault, [u64; 4]); 3] = [
        (|lines| without(lines, 7), [119, 1, 0, 0]),
        (|lines| twice(lines, 7), [120, 0, 1, 0]),
        (|lines| swapped(lines, 7), [120, 0, 0, 1]),
    ];
    for (fault, expected) in faults {
        let faulty = move |clients: &mut [Client], feed: &mut Feed| {
            let lines = thirty(feed);
            for (number, client) in clients.iter_mut().enumerate() {
                let sent = if number == 1 {
                    fault(&lines)
                } else {
                    lines.iter().collect()
                };
                for line in sent {
                    client.send(Message::text(line.as_str())).unwrap();
                }
            }
        };
        let run = bench_scripted(4, faulty, THIRTY, &["--rate", "max"]);
        assert_eq!(run.judged(), expected, "{}\n{}", run.said, run.report);
        assert_eq!(run.code, Some(1));
    }
}

#[test]
fn what_comes_late_or_again_when_the_rest_is_there_is_seen() {
    let faults: [(Fault, [u64; 4]); 2] = [
        (|lines| without(lines, 7), [60, 0, 0, 1]),
        (|lines| lines.iter().collect(), [60, 0, 1, 0]),
    ];
    for (first, expected) in faults {
        let faulty = move |clients: &mut [Client], feed: &mut Feed| {
            let lines = thirty(feed);
            for (client, sent) in clients
                .iter_mut()
                .zip([first(&lines), lines.iter().collect()])
            {
                for line in sent {
                    client.send(Message::text(line.as_str())).unwrap();
                }
            }
            // So late.
            thread::sleep(std::time::Duration::from_millis(300));
            clients[0].send(Message::text(lines[7].as_str())).unwrap();
        };
        let run = bench_scripted(2, faulty, THIRTY, &["--rate", "max"]);
        assert_eq!(run.judged(), expected, "{}\n{}", run.said, run.report);
        assert_eq!(run.code, Some(1));
        // The delivery counts into the time, the repeat does not.
        let is_late = run.number("/deliveries/seconds") > 0.3;
        assert_eq!(is_late, expected[3] == 1, "{}", run.report);
    }
}

#[test]
fn what_is_waited_for_lines_that_never_come_is_in_no_figure() {
    let server = |clients: &mut [Client], feed: &mut Feed| {
        for line in without(&thirty(feed), 29) {
            clients[0].send(Message::text(line.as_str())).unwrap();
        }
    };
    let mut busy = std::process::Command::new("/bin/sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    let arguments = format!("{THIRTY} --rate 100 --pid {}", busy.id());
    let run = bench_scripted(1, server, &arguments, &[]);
    busy.kill().unwrap();
    busy.wait().unwrap();
    assert_eq!(run.judged(), [29, 1, 0, 0], "{}\n{}", run.said, run.report);
    // It has one thread.
    assert!(run.number("/server/cpu_percent") < 120.0, "{}", run.report);
}

#[test]
fn a_server_that_sends_nothing_has_delivered_nothing_in_the_time_that_was_waited() {
    let silent = |_: &mut [Client], feed: &mut Feed| drop(thirty(feed));
    let run = bench_scripted(1, silent, THIRTY, &["--rate", "max"]);
    assert_eq!(run.judged(), [0, 30, 0, 0], "{}\n{}", run.said, run.report);
    assert!(run.number("/deliveries/seconds") > 1.0, "{}", run.report);
}

#[test]
fn clients_that_come_too_late_for_ctrl_c_are_told_apart() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = format!("ws://{address} --clients 3 --duration 1s --hello here");
    let child = started(&folder, "any", &arguments, &[]);
    let accepted = || listener.accept().unwrap().0;
    // The first only looks whether somebody listens.
    drop(accepted());
    let mut one = tungstenite::accept(accepted()).unwrap();
    one.read().unwrap();
    let others = [accepted(), accepted()];
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = ended(child);
    assert_eq!(run.count("/clients/connected"), 1);
    let why = "/clients/reasons/given up when the run was interrupted";
    assert_eq!(run.count(why), 2, "{}", run.report);
    drop((one, others));
}

#[test]
fn a_warm_up_that_hangs_in_a_write_is_told() {
    let server = |clients: &mut [Client], feed: &mut Feed| {
        // It has room for one line and a part of the next.
        wait_until("the pipe is full", || {
            rustix::io::ioctl_fionread(feed.get_ref()).unwrap() > 40_001
        });
        for client in clients {
            client.get_mut().shutdown(Shutdown::Both).unwrap();
        }
    };
    let arguments = "--line-bytes 40000 --feed-to file:fifo";
    let run = bench_scripted(1, server, arguments, &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: the feed takes no lines any more; does the server read all of it?\n"
    );
}

#[test]
fn messages_without_a_start_or_an_end_are_told() {
    // A frame of a mebibyte: the head is 10 bytes.
    let frame = |first: u8| {
        let mut frame = vec![first, 127, 0, 0, 0, 0, 0, 0x10, 0, 0];
        frame.resize(10 + (1 << 20), b'x');
        frame
    };
    let (begin, go_on) = (frame(0x01), frame(0x00));
    let endless: Vec<&[u8]> = std::iter::once(&begin[..])
        .chain(std::iter::repeat_n(&go_on[..], 70))
        .collect();
    let (not_begun, not_ended): (Vec<&[u8]>, Vec<&[u8]>) = (vec![&go_on], vec![&begin, &begin]);
    let faults = [
        (
            endless,
            "sent a message of 68157440 bytes, more than this tool takes",
        ),
        (not_begun, "went on with a message that it had not begun"),
        (not_ended, "began a message before the end of another"),
    ];
    for (frames, why) in faults {
        let frames = frames.concat();
        let server = move |clients: &mut [Client], _: &mut Feed| {
            clients[0].read().unwrap();
            // It is cut before all of them are out.
            let _ = std::io::Write::write_all(clients[0].get_mut(), &frames);
        };
        let run = bench_scripted(1, server, "--duration 30s --hello here", &[]);
        let reasons = run.value("/clients/reasons");
        assert_eq!(
            reasons,
            &serde_json::json!({ format!("the server {why}"): 1 })
        );
    }
}

/// Thirty lines that the server is fed.
const THIRTY: &str = "--lines 30 --warm-up 0 --feed-to file:fifo";

/// What a client is sent instead of these lines.
type Fault = fn(&[String]) -> Vec<&String>;

fn without(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.remove(at);
    sent
}

fn twice(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.insert(at, &lines[at]);
    sent
}

fn swapped(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.swap(at, at + 1);
    sent
}
