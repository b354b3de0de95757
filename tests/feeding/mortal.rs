use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use crate::common::{Folder, PATIENCE, patiently};

/// A server that may die at any moment, even before it listens.
pub struct Mortal {
    child: Child,
    listening: oneshot::Receiver<String>,
    log: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Mortal {
    pub fn start(folder: &Folder, arguments: &str, crash_at: Option<&str>) -> Self {
        let mut command = folder.command(&format!("serve --listen 127.0.0.1:0 {arguments}"));
        if let Some(point) = crash_at {
            command.env("SIGNALCAST_CRASH_AT", point);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in stderr.lines() {
                let line = format!("{}\n", line.unwrap());
                into.lock().unwrap().push_str(&line);
            }
        });
        let (ready, listening) = oneshot::channel();
        let listener = thread::spawn(move || {
            let mut ready = Some(ready);
            for line in stdout.lines() {
                if let Some(url) = line.unwrap().strip_prefix("listening ")
                    && let Some(ready) = ready.take()
                {
                    ready.send(url.replace("127.0.0.1", "localhost")).ok();
                }
            }
        });
        Self {
            child,
            listening,
            log,
            readers: [reader, listener],
        }
    }

    /// Where it listens; `None` if it died before it did.
    pub async fn url(&mut self) -> Option<String> {
        patiently("server", &mut self.listening).await.ok()
    }

    pub fn signal(&self, signal: Signal) {
        // It may be dead by now.
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Waits until it is dead.
    pub async fn wait(mut self) -> (ExitStatus, String) {
        let mut pause = tokio::time::interval(Duration::from_millis(1));
        let dead = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    break status;
                }
                pause.tick().await;
            }
        };
        let dead = tokio::time::timeout(PATIENCE, dead).await;
        let Ok(status) = dead else {
            self.child.kill().ok();
            self.child.wait().ok();
            panic!("the server did not end:\n{}", self.log.lock().unwrap());
        };
        for reader in self.readers {
            reader.join().unwrap();
        }
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(self) -> String {
        self.signal(Signal::KILL);
        let (status, log) = self.wait().await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{log}");
        log
    }

    /// Stops it as `kill` does.
    pub async fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.wait().await;
        assert!(status.success(), "{status}:\n{log}");
        log
    }
}
