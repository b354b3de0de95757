use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::body::Buf;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::refusal::Refusal;

/// Longer than any instruction: a token has up to 8 KiB.
const MOST_BYTES: usize = 16 * 1024;

/// Reads a small body as JSON, whatever its type is said to be. `form` shows what it has to look
/// like; `patience` is for all of it.
pub(super) async fn read<T: DeserializeOwned, B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
    patience: Duration,
    form: &str,
) -> Result<T, Refusal> {
    let Ok(bytes) = timeout(patience, gather(body)).await else {
        return refuse("the body does not come; send it without a pause");
    };
    // Where the fault is, but nothing of what was sent: that may be a token.
    serde_json::from_slice(&bytes?).map_err(|why| {
        let (line, column) = (why.line(), why.column());
        let what = match why.classify() {
            serde_json::error::Category::Data => "is not what is expected",
            _ => "is not JSON",
        };
        let problem = format!("the body {what} (line {line}, column {column}); send {form}");
        Refusal::BadRequest(Cow::Owned(problem))
    })
}

async fn gather<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, Refusal> {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(piece) = body.next().await {
        let Ok(mut piece) = piece else {
            return refuse("the body breaks off, or its chunks are malformed");
        };
        if bytes.len() + piece.remaining() > MOST_BYTES {
            return refuse("the body is longer than 16 KiB");
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            let length = chunk.len();
            bytes.extend_from_slice(chunk);
            piece.advance(length);
        }
    }
    Ok(bytes)
}

fn refuse<T>(problem: &'static str) -> Result<T, Refusal> {
    Err(Refusal::BadRequest(Cow::Borrowed(problem)))
}
