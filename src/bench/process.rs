//! CPU time and memory of a process and all that descend from it, from `/proc` (proc(5)).

use std::collections::HashMap;
use std::fs;

/// What a server and its children have used up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU seconds, user and system: by the scheduler's clock, which is finer than the other two.
    pub(super) cpu: f64,
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) resident: u64,
    /// The sum of what each of them had at most.
    pub(super) most_resident: u64,
    pub(super) processes: u64,
    pub(super) threads: u64,
}

/// None if there is no such process.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let mut usage = Usage::default();
    for pid in family(pid) {
        let Some(stat) = Stat::of(pid) else { continue };
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let [user, system, children_user, children_system] =
            stat.ticks.map(|count| count as f64 / ticks);
        // Ticks are 10 ms long, and a thread that runs shortly may be seen by none.
        usage.cpu += (user + system).max(scheduled(pid)) + children_user + children_system;
        usage.user += user + children_user;
        usage.system += system + children_system;
        usage.threads += stat.threads;
        usage.processes += 1;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        usage.resident += kibibytes(&status, "VmRSS:") * 1024;
        usage.most_resident += kibibytes(&status, "VmHWM:") * 1024;
    }
    (usage.processes > 0).then_some(usage)
}

/// How long the calling thread has waited for a CPU although it could have run, in seconds.
pub(super) fn waited() -> f64 {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = schedstat.split_whitespace().nth(1);
    nanoseconds
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e9
}

struct Stat {
    parent: u32,
    /// User and system, its own and of children that it has waited for.
    ticks: [u64; 4],
    threads: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        // The name before may hold anything, blanks and brackets too.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ticks: [number(11)?, number(12)?, number(13)?, number(14)?],
            threads: number(17)?,
        })
    }
}

/// A process and all its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(stat) = Stat::of(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    family
}

/// Seconds that the threads of a process have run, by the scheduler's clock.
fn scheduled(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        let usage = usage(pid).unwrap();
        assert!(usage.cpu > 0.0 && usage.threads > 0 && usage.processes > 0);
        assert!(usage.most_resident >= usage.resident && usage.resident > 1 << 20);
    }

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        assert_eq!(usage(u32::MAX), None);
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let text = "7 (a) S 1 (b) S 42 7 7 0 -1 0 0 0 0 0 11 12 13 14 20 0 3 0 0";
        let stat = Stat::read(text).unwrap();
        assert_eq!(
            (stat.parent, stat.ticks, stat.threads),
            (42, [11, 12, 13, 14], 3)
        );
    }
}
