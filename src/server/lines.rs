//! The signals in a body, line by line: all of them, or what is wrong with those that are none.

use tokio::task::yield_now;
use warp::http::header::{CONTENT_TYPE, HeaderMap};

use super::refusal::Refusal;
use crate::clock;
use crate::signal::{BYTE_ORDER_MARK, BodyLines, Signal, TimeUnit, Timestamp};
use crate::source::MAX_LINE_BYTES;

/// How signals stand in a body, as its `Content-Type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One, in a JSON object over any number of lines.
    Json,
    /// One on each line, as in a feed.
    Lines,
}

/// Most signals in one body.
const MOST_SIGNALS: usize = 10_000;

/// Bytes that are parsed before others may run: some ten microseconds' work.
const BETWEEN_YIELDS: usize = 16 * 1024;

impl Form {
    /// The one that these headers name.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(WHICH_TYPE);
        };
        let value = value.to_str().map_err(|_| WHICH_TYPE)?.to_ascii_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut charsets = parts.filter_map(|parameter| parameter.strip_prefix("charset="));
        if !charsets.all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "us-ascii")) {
            return Err(Refusal::UnsupportedMediaType(
                "the body has another charset; send it in UTF-8",
            ));
        }
        match media_type {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/jsonl" | "text/plain" => Ok(Self::Lines),
            other if other.starts_with("application/") && other.ends_with("+json") => {
                Ok(Self::Json)
            }
            _ => Err(WHICH_TYPE),
        }
    }
}

const WHICH_TYPE: Refusal = Refusal::UnsupportedMediaType(
    "send Content-Type: application/json for one signal (curl --json), application/x-ndjson or \
     text/plain for one on each line",
);

/// Reads the signals of a body, each with the number of its line, the first being 1. Lets others run
/// in between: it may take milliseconds.
///
/// # Errors
/// Every line that is no signal, with the reason; there is none at all, or there are too many.
pub(super) async fn read(
    body: &[u8],
    form: Form,
    unit: TimeUnit,
) -> Result<Vec<(usize, Signal)>, Refusal> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let now = clock::now();
    let mut found = BodyLines::default();
    match form {
        Form::Json => found.take(1, document(body, unit, now)),
        Form::Lines => {
            let mut parsed = 0;
            for (number, line) in (1..).zip(body.split(|&byte| byte == b'\n')) {
                found.take(number, on_line(line, unit, now));
                if found.count() > MOST_SIGNALS {
                    let problem =
                        format!("there are over {MOST_SIGNALS} signals; send them in parts");
                    return Err(Refusal::PayloadTooLarge(problem.into()));
                }
                parsed += line.len() + 1;
                if parsed >= BETWEEN_YIELDS {
                    parsed = 0;
                    yield_now().await;
                }
            }
        }
    }
    let all = found.all("there is no signal in the body; write one");
    all.map_err(Refusal::InvalidSignals)
}

fn on_line(line: &[u8], unit: TimeUnit, now: Timestamp) -> Result<Option<Signal>, String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_LINE_BYTES {
        let length = line.len();
        return Err(format!(
            "the line is {length} bytes long, at most {MAX_LINE_BYTES} are allowed; write one \
             signal a line, each line ended by a newline"
        ));
    }
    Signal::parse_line(line, unit, now).map_err(|why| why.to_string())
}

/// What is said to be JSON is neither text nor a comment, and no more than one signal.
fn document(body: &[u8], unit: TimeUnit, now: Timestamp) -> Result<Option<Signal>, String> {
    let text = body.trim_ascii();
    let is_object = text.starts_with(b"{");
    match on_line(text, unit, now) {
        Ok(found) if is_object || text.is_empty() => Ok(found),
        Ok(_) => Err(
            "this is not JSON; write an object in braces, or send Content-Type: text/plain"
                .to_owned(),
        ),
        Err(_) if is_object && begins_with_a_signal(text, unit, now) => {
            Err("there is more than one signal; send Content-Type: application/x-ndjson".to_owned())
        }
        Err(why) => Err(why),
    }
}

fn begins_with_a_signal(text: &[u8], unit: TimeUnit, now: Timestamp) -> bool {
    let mut lines = text.splitn(2, |&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    lines.next().is_some() && matches!(on_line(first, unit, now), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(content_types: &[&str]) -> Result<Form, Refusal> {
        let mut headers = HeaderMap::new();
        for content_type in content_types {
            headers.append(CONTENT_TYPE, content_type.parse().unwrap());
        }
        Form::of(&headers)
    }

    #[test]
    fn the_content_type_says_how_signals_stand_in_the_body() {
        for (content_type, expected) in [
            ("application/json", Form::Json),
            ("Application/JSON; Charset=UTF-8", Form::Json),
            ("application/json;charset=\"utf-8\"", Form::Json),
            ("application/vnd.example+json", Form::Json),
            ("application/x-ndjson", Form::Lines),
            ("application/jsonl ; charset=utf-8", Form::Lines),
            ("text/plain", Form::Lines),
            ("text/plain; format=flowed; charset=us-ascii", Form::Lines),
        ] {
            assert_eq!(form(&[content_type]), Ok(expected), "{content_type}");
        }
        for content_types in [
            &[][..],
            &[""],
            &["text"],
            &["text/html"],
            &["application/x-www-form-urlencoded"],
            &["multipart/form-data; boundary=json"],
            &["text/plain; charset=utf-16"],
            &["application/json; charset=latin1"],
            &["text/plain+json"],
            &["application/json, text/plain"],
            &["application/json", "application/json"],
        ] {
            let refused = form(content_types).unwrap_err();
            let is_told = matches!(refused, Refusal::UnsupportedMediaType(_));
            assert!(is_told, "{content_types:?} {refused:?}");
        }
    }

    async fn read(body: &str, form: Form) -> Result<Vec<(usize, String)>, Refusal> {
        let found = super::read(body.as_bytes(), form, TimeUnit::Seconds).await?;
        let found = found.into_iter();
        Ok(found
            .map(|(line, signal)| (line, signal.symbol().to_string()))
            .collect())
    }

    async fn reasons(body: &str, form: Form) -> Vec<(usize, String)> {
        match read(body, form).await {
            Err(Refusal::InvalidSignals(refused)) => {
                let told = refused.into_iter().map(|one| (one.line, one.reason));
                told.collect()
            }
            other => panic!("{other:?}: {body}"),
        }
    }

    #[tokio::test]
    async fn lines_are_read_as_those_of_a_feed() {
        let body = "\u{feff}buy A 1\r\n\n# not yet\n \t\n{\"side\":\"sell\",\"symbol\":\"B\",\"price\":1}\r\n  buy C 1";
        let found = read(body, Form::Lines).await.unwrap();
        let symbols = [(1, "A"), (5, "B"), (6, "C")];
        assert_eq!(
            found,
            symbols.map(|(line, symbol)| (line, symbol.to_owned()))
        );
    }

    #[tokio::test]
    async fn every_line_that_is_no_signal_is_told_with_the_reason() {
        let long = format!("#{}", "x".repeat(MAX_LINE_BYTES));
        let body = format!("buy A 1\nhold A 1\n\nbuy A\n{long}\n{}\r\n", &long[1..]);
        let told = reasons(&body, Form::Lines).await;
        let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 5, 6]);
        assert!(told[0].1.contains("\"hold\""), "{}", told[0].1);
        assert!(told[1].1.contains("price is missing"), "{}", told[1].1);
        assert!(told[2].1.contains("65537 bytes long"), "{}", told[2].1);
    }

    #[tokio::test]
    async fn a_document_is_one_object_with_any_blanks_around_and_in_it() {
        let object = "{ \"side\" : \"buy\",\r\n\t\"symbol\": \"A\",\n \"price\": 1.50\n}";
        for body in [object.to_owned(), format!("\u{feff}\n {object}\n\n")] {
            let found = read(&body, Form::Json).await.unwrap();
            assert_eq!(found, [(1, "A".to_owned())]);
        }
        for (body, said) in [
            ("buy A 1", "this is not JSON"),
            ("# buy A 1", "this is not JSON"),
            ("hold", "does not begin a signal"),
            ("[{}]", "a JSON array is not a signal"),
            ("null", "a JSON null is not a signal"),
            ("{\"side\":\"buy\"}", "symbol is missing"),
            ("{\"side\":\"buy\"", "the line ends too early"),
            (
                "{\"side\":\"buy\",\"symbol\":\"A\",\"price\":1}\n{\"side\":\"buy\"}",
                "application/x-ndjson",
            ),
            ("{}\n{}", "found \"{\""),
        ] {
            let told = reasons(body, Form::Json).await;
            assert_eq!(told.len(), 1, "{body}");
            assert!(told[0].1.contains(said), "{body}: {}", told[0].1);
        }
    }

    #[tokio::test]
    async fn a_body_without_a_signal_is_refused() {
        for form in [Form::Json, Form::Lines] {
            for body in ["", "\n\n", " \r\n\t", "\u{feff}"] {
                let told = reasons(body, form).await;
                let reason = "there is no signal in the body; write one".to_owned();
                assert_eq!(told, [(1, reason)], "{form:?} {body:?}");
            }
        }
        assert_eq!(reasons("# buy A 1\n", Form::Lines).await.len(), 1);
    }

    #[tokio::test]
    async fn ten_thousand_signals_are_taken_and_one_more_is_too_many() {
        let lines = "buy A 1\n# and\n".repeat(MOST_SIGNALS);
        assert_eq!(read(&lines, Form::Lines).await.unwrap().len(), MOST_SIGNALS);
        for more in ["buy A 1", "hold"] {
            let refused = read(&format!("{lines}{more}"), Form::Lines)
                .await
                .unwrap_err();
            assert!(
                matches!(refused, Refusal::PayloadTooLarge(_)),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn timestamps_may_count_milliseconds_when_that_is_said() {
        let body = b"buy A 1 1720000000123";
        let found = super::read(body, Form::Lines, TimeUnit::Milliseconds).await;
        assert_eq!(found.unwrap()[0].1.timestamp().get(), 1_720_000_000);
        let told = reasons("buy A 1 1720000000123", Form::Lines).await;
        assert!(
            told[0].1.contains("looks like milliseconds"),
            "{}",
            told[0].1
        );
    }
}
