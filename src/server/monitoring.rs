use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::call::Route;
use crate::metrics::Registry;

/// Answers those who watch the server, on a port of their own, as long as it is polled.
pub(super) async fn serve(listener: TcpListener, routes: Route) {
    let mut failing = false;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((socket, _)) => {
                    failing = false;
                    connections.spawn(answer(socket, routes.clone()));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "nobody can ask for metrics; is the open-file limit too low?");
                    }
                    sleep(RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Sorts what the histograms were given, as long as it is polled: with nobody who scrapes, it
/// would pile up.
pub(super) async fn tidy(metrics: Registry) {
    let mut look = interval(BETWEEN_TIDYING);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        metrics.sort_values();
    }
}

/// One Prometheus, one load balancer, a few people: more than this is a mistake.
const MOST_CONNECTIONS: usize = 64;

/// Time for a request and its answer; each has a connection of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until descriptors may be free again.
const RETRY: Duration = Duration::from_millis(50);

/// At a hundred thousand passes a second, some 3 MB come together in between.
const BETWEEN_TIDYING: Duration = Duration::from_secs(1);

async fn answer(socket: TcpStream, routes: Route) {
    let routes = TowerToHyperService::new(warp::service(routes));
    let talk = http1::Builder::new()
        .keep_alive(false)
        // Whoever ends his side behind his request waits for the answer.
        .half_close(true)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), routes);
    match timeout(PATIENCE, talk).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for metrics was not understood or not taken"),
        Err(_) => debug!("a request for metrics took too long"),
    }
}
