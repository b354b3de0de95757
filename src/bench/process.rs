//! CPU time and memory of a process and all that descend from it.

use std::collections::HashMap;

use procfs::process::{Process, all_processes};

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
    for pid in family(i32::try_from(pid).ok()?) {
        // It may have ended meanwhile.
        let Ok(process) = Process::new(pid) else {
            continue;
        };
        let Ok(stat) = process.stat() else { continue };
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let [user, system] = [stat.utime, stat.stime].map(seconds);
        // Of those that it has waited for.
        let [children_user, children_system] =
            [stat.cutime, stat.cstime].map(|ticks| seconds(ticks.cast_unsigned()));
        // Ticks are 10 ms long, and a thread that runs shortly may be seen by none.
        usage.cpu += (user + system).max(scheduled(&process)) + children_user + children_system;
        usage.user += user + children_user;
        usage.system += system + children_system;
        usage.threads += stat.num_threads.cast_unsigned();
        usage.processes += 1;
        let resident = stat.rss * procfs::page_size();
        // Lacking of one that has just ended, or whose name was cut inside a character.
        let most = process.status().ok().and_then(|status| status.vmhwm);
        usage.resident += resident;
        usage.most_resident += most.map_or(0, |kibibytes| kibibytes * 1024).max(resident);
    }
    (usage.processes > 0).then_some(usage)
}

/// How long the calling thread has waited for a CPU although it could have run, in seconds.
pub(super) fn waited() -> f64 {
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    let task = Process::myself().and_then(|process| process.task_from_tid(tid));
    let schedule = task.and_then(|task| task.schedstat());
    // A kernel may be built without.
    schedule.map_or(0.0, |schedule| schedule.run_delay as f64 / 1e9)
}

/// A process and all its descendants.
fn family(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in all_processes().into_iter().flatten().flatten() {
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid).or_default().push(stat.pid);
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
fn scheduled(process: &Process) -> f64 {
    let tasks = process.tasks().into_iter().flatten().flatten();
    let schedules = tasks.filter_map(|task| task.schedstat().ok());
    schedules
        .map(|schedule| schedule.sum_exec_runtime as f64)
        .sum::<f64>()
        / 1e9
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
    fn a_name_that_is_cut_inside_a_character_hides_no_process() {
        let folder = tempfile::tempdir().unwrap();
        // The kernel keeps 15 bytes of it.
        let program = folder.path().join("СЕРВЕРСИГНАЛОВ");
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut process = std::process::Command::new(program)
            .arg("60")
            .spawn()
            .unwrap();
        let usage = usage(process.id()).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(usage.most_resident >= usage.resident && usage.resident > 0);
    }
}
