use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::common::{Folder, PATIENCE, patiently, trust};

/// Clients that keep what they get and come back whenever the server is there.
pub struct Bots {
    /// Where the server is.
    door: watch::Sender<Option<String>>,
    bots: Vec<Arc<Mutex<Bot>>>,
    tasks: tokio::task::JoinSet<()>,
}

/// What one bot has: the number of the line of each seq, from 1 on.
#[derive(Debug, Default)]
pub struct Bot {
    pub lines: Vec<u64>,
}

impl Bots {
    /// They come with the first call of [`Bots::there_is`].
    pub fn new(folder: &Arc<Folder>, count: usize, seen: &Arc<AtomicU64>) -> Self {
        let (door, doors) = watch::channel(None);
        let token = folder.token("--sub bot");
        let (mut bots, mut tasks) = (Vec::new(), tokio::task::JoinSet::new());
        for _ in 0..count {
            let bot = Arc::new(Mutex::new(Bot::default()));
            bots.push(Arc::clone(&bot));
            tasks.spawn(live(
                Arc::clone(folder),
                doors.clone(),
                token.clone(),
                bot,
                Arc::clone(seen),
            ));
        }
        Self { door, bots, tasks }
    }

    /// The server is here now.
    pub fn there_is(&self, url: String) {
        self.door.send_replace(Some(url));
    }

    /// Waits until everybody has so many signals.
    pub async fn have(&mut self, signals: u64) {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        let (bots, tasks) = (&self.bots, &mut self.tasks);
        let all = async {
            while bots.iter().any(|bot| count(bot) < signals) {
                pause.tick().await;
                if let Some(ended) = tasks.try_join_next() {
                    ended.unwrap();
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, all).await;
        assert!(
            done.is_ok(),
            "the bots have {:?} of {signals} signals",
            self.counts()
        );
    }

    pub fn counts(&self) -> Vec<u64> {
        self.bots.iter().map(count).collect()
    }

    /// What each of them has. They stay away from now on.
    pub fn part(self) -> Vec<Vec<u64>> {
        let lines = |bot: &Arc<Mutex<Bot>>| bot.lock().unwrap().lines.clone();
        self.bots.iter().map(lines).collect()
    }
}

fn count(bot: &Arc<Mutex<Bot>>) -> u64 {
    bot.lock().unwrap().lines.len() as u64
}

/// Connects, takes all there is, and begins again when the connection ends.
async fn live(
    folder: Arc<Folder>,
    mut doors: watch::Receiver<Option<String>>,
    token: String,
    bot: Arc<Mutex<Bot>>,
    seen: Arc<AtomicU64>,
) {
    loop {
        let door = match doors.wait_for(Option::is_some).await {
            Ok(door) => door.clone().unwrap(),
            Err(_) => return,
        };
        visit(&folder, &door, &token, &bot, &seen).await;
        // Until it is back, or for a moment: it may still be there.
        let changed = doors.changed();
        tokio::time::timeout(Duration::from_millis(20), changed)
            .await
            .ok();
    }
}

async fn visit(folder: &Folder, door: &str, token: &str, bot: &Mutex<Bot>, seen: &AtomicU64) {
    let last = bot.lock().unwrap().lines.len();
    let url = format!("{}/?after_seq={last}", door.trim_end_matches('/'));
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "signalcast.v2".parse().unwrap());
    let connecting = tokio_tungstenite::connect_async_tls_with_config(
        request,
        None,
        true,
        Some(Connector::Rustls(Arc::new(trust(folder)))),
    );
    let mut socket = match patiently("connection", Box::pin(connecting)).await {
        Ok((socket, _)) => socket,
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 503, "after seq {last}: {answer:?}");
            return;
        }
        // It is dead already.
        Err(_) => return,
    };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Some(seq) = frame["seq"].as_u64() else {
            continue;
        };
        let line = frame["content"]["price"].as_u64().unwrap();
        let mut bot = bot.lock().unwrap();
        assert_eq!(
            seq,
            bot.lines.len() as u64 + 1,
            "none is left out, none repeated: {text}"
        );
        bot.lines.push(line);
        seen.fetch_max(line, Ordering::Relaxed);
    }
}
