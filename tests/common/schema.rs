//! What docs/openapi.yaml and docs/asyncapi.yaml say, and whether the server does it.
//!
//! Every answer and every message that a test receives is held against them. Their schemas take no
//! key that they don't name, so what is new in an answer has to be written down there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::Answer;

/// docs/openapi.yaml
pub static OPENAPI: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../docs/openapi.yaml")));

/// docs/asyncapi.yaml
pub static ASYNCAPI: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../../docs/asyncapi.yaml")));

/// Where a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The port of clients.
    Main,
    /// The one of `/metrics`.
    Metrics,
}

/// What is spoken on a connection: the channels of docs/asyncapi.yaml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    V1,
    V2,
    /// Server-Sent Events.
    Stream,
}

impl Spoken {
    /// What follows when this subprotocol was agreed on.
    pub fn after(subprotocol: Option<&str>) -> Self {
        match subprotocol {
            Some("signalcast.v2") => Self::V2,
            _ => Self::V1,
        }
    }

    fn channel(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Stream => "stream",
        }
    }
}

/// Holds a message of the server against docs/asyncapi.yaml.
///
/// # Panics
/// It is none of those that the server sends there.
pub fn check_message(spoken: Spoken, text: &str) {
    if is_like_others(spoken, text) {
        return;
    }
    let value: Value = serde_json::from_str(text).unwrap();
    let known = MESSAGES[&spoken]
        .get(value["type"].as_str().unwrap_or_default())
        .unwrap_or_else(|| panic!("no such message of {spoken:?} in docs/asyncapi.yaml: {text}"));
    if !known.iter().any(|payload| payload.is_valid(&value)) {
        let why: String = known
            .iter()
            .map(|payload| complaints(payload, &value))
            .collect();
        panic!("not as docs/asyncapi.yaml says of {spoken:?}: {text}\n{why}");
    }
}

/// Whether messages like this one were looked at, and enough of all: to look at one takes longer than
/// to receive it, and a test of a flood would be late.
fn is_like_others(spoken: Spoken, text: &str) -> bool {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    static SHAPES: Mutex<BTreeSet<(&str, String)>> = Mutex::new(BTreeSet::new());
    const LOOKED_AT_ALL: usize = 1000;
    let is_new = SHAPES
        .lock()
        .unwrap()
        .insert((spoken.channel(), shape(text)));
    SEEN.fetch_add(1, Ordering::Relaxed) >= LOOKED_AT_ALL && !is_new
}

/// The text with all numbers, times and ids alike: each word with a digit in it is a zero.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut word = 0;
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            word = shape.len() + letter.len_utf8();
            shape.push(letter);
        } else if letter.is_ascii_digit() {
            shape.truncate(word);
            shape.push('0');
        } else if !shape[word..].starts_with('0') {
            shape.push(letter);
        }
    }
    shape
}

/// Holds an event of a stream against docs/asyncapi.yaml.
///
/// # Panics
/// It is none of those that the server sends there, or is called otherwise than its message.
pub fn check_event(name: &str, data: &str) {
    check_message(Spoken::Stream, data);
    let value: Value = serde_json::from_str(data).unwrap();
    let expected = match value["type"].as_str().unwrap() {
        "buy" | "sell" => "signal",
        other => other,
    };
    assert_eq!(name, expected, "{data}");
}

/// Holds an answer against docs/openapi.yaml.
///
/// # Panics
/// It is none of those that are documented for this request.
pub fn check_answer(door: Door, request: &[u8], answer: &Answer) {
    if let Err(why) = judge(door, request, answer) {
        let line = request.split(|&byte| byte == b'\r').next().unwrap();
        let line = String::from_utf8_lossy(line);
        panic!("not as docs/openapi.yaml says: {why}\n{line}\n{answer:#?}");
    }
}

fn judge(door: Door, request: &[u8], answer: &Answer) -> Result<(), String> {
    let Some((method, path)) = asked(request) else {
        return judge_general("", &["BadRequest", "NotFound", "HeadersTooLarge"], answer);
    };
    // What is no HTTP is answered before anybody looks for the path.
    let is_empty = answer.body.is_empty() && answer.header("content-type").is_none();
    if is_empty && [400, 431].contains(&answer.status) && method != "HEAD" {
        return Ok(());
    }
    // A browser asks before the request itself, with a method that no path has for itself.
    let mut names = answer.headers.iter().map(|(name, _)| name);
    if method == "OPTIONS" && names.any(|name| name.starts_with("access-control-")) {
        return Ok(());
    }
    if answer.status == 400 && answer.body.contains("this port speaks TLS") {
        return judge_general(method, &["BadRequest"], answer);
    }
    let Some((template, operations)) = operations(door, path) else {
        return judge_general(method, &["NotFound", "HeadersTooLarge"], answer);
    };
    let Some(operation) = operations.get(method.to_ascii_lowercase()) else {
        return judge_general(method, &["MethodNotAllowed", "HeadersTooLarge"], answer);
    };
    let status = answer.status.to_string();
    let response = operation["responses"].get(&status);
    let response = response.ok_or(format!("{template} has no {status}"))?;
    judge_response(resolve(&OPENAPI, response), answer, method == "HEAD")
}

/// An answer that any request may get.
fn judge_general(method: &str, names: &[&str], answer: &Answer) -> Result<(), String> {
    let statuses = [
        ("BadRequest", 400),
        ("NotFound", 404),
        ("MethodNotAllowed", 405),
        ("HeadersTooLarge", 431),
    ];
    let name = statuses
        .iter()
        .find(|(name, status)| names.contains(name) && *status == answer.status);
    match name {
        Some(_) if answer.body.is_empty() && answer.header("content-type").is_none() => Ok(()),
        Some((name, _)) => judge_response(
            &OPENAPI["components"]["responses"][name],
            answer,
            method == "HEAD",
        ),
        None => Err(format!("none of {names:?}")),
    }
}

/// Method and path of a request, if it has any.
fn asked(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|&byte| byte == b'\r').next()?;
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    let path = target.split('?').next()?;
    // It may be a whole URL (RFC 9112 section 3.2.2).
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => path,
    };
    path.starts_with('/').then_some((method, path))
}

/// What is answered on a path at this door, and how the document calls the path.
fn operations(door: Door, path: &str) -> Option<(&'static str, &'static Value)> {
    const OF_METRICS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];
    // One slash behind a path changes nothing, two are another path.
    let trimmed = match path.strip_suffix('/') {
        None => path,
        Some("") => "/",
        Some(before) if before.ends_with('/') => return None,
        Some(before) => before,
    };
    let paths = OPENAPI["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| {
        let is_here = match door {
            Door::Main => template.as_str() != "/metrics",
            Door::Metrics => OF_METRICS.contains(&template.as_str()),
        };
        is_here && fits(template, trimmed)
    });
    found.map(|(template, operations)| (template.as_str(), operations))
}

fn fits(template: &str, path: &str) -> bool {
    if let Some((before, after)) = template.split_once("{name}")
        && before == "/sources/"
    {
        // In the name of a source slashes may stand as they are.
        let name = path
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        return name.is_some_and(|name| !name.is_empty());
    }
    let (mut pattern, mut parts) = (template.split('/'), path.split('/'));
    loop {
        match (pattern.next(), parts.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || one.starts_with('{') => {}
            _ => return false,
        }
    }
}

fn judge_response(response: &Value, answer: &Answer, is_head: bool) -> Result<(), String> {
    if is_head {
        let is_empty = answer.body.is_empty();
        return is_empty.then_some(()).ok_or("a body to HEAD".to_owned());
    }
    judge_headers(response, answer)?;
    let Some(content) = response.get("content") else {
        let is_empty = answer.body.is_empty();
        return is_empty
            .then_some(())
            .ok_or("a body where there is none".to_owned());
    };
    let media_type = answer.header("content-type").ok_or("no content type")?;
    let body = content
        .get(media_type)
        .ok_or(format!("{media_type} is not among its content types"))?;
    let values = match media_type {
        "application/json" => vec![(&body["schema"], answer.body.as_str())],
        "application/x-ndjson" => {
            let signal = &OPENAPI["components"]["schemas"]["Signal"];
            answer.body.lines().map(|line| (signal, line)).collect()
        }
        _ => Vec::new(),
    };
    for (schema, text) in values {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        judge_value(schema, &value)?;
    }
    Ok(())
}

/// Headers that no answer needs to be documented with: HTTP's own, and those of CORS.
fn is_everywhere(header: &str) -> bool {
    [
        "connection",
        "content-length",
        "content-type",
        "date",
        "vary",
    ]
    .contains(&header)
        || header.starts_with("access-control-")
}

fn judge_headers(response: &Value, answer: &Answer) -> Result<(), String> {
    let documented: HashMap<String, &Value> = response["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, header)| (name.to_ascii_lowercase(), resolve(&OPENAPI, header)))
        .collect();
    for (name, _) in &answer.headers {
        if !is_everywhere(name) && !documented.contains_key(name) {
            return Err(format!("the header {name} is not documented"));
        }
    }
    for (name, header) in documented {
        let Some(text) = answer.header(&name) else {
            if header["required"] == true {
                return Err(format!("the header {name} is missing"));
            }
            continue;
        };
        let schema = resolve(&OPENAPI, &header["schema"]);
        let value = match schema["type"].as_str() {
            Some("integer") => text.parse::<u64>().map_or(json!(text), Value::from),
            _ => json!(text),
        };
        judge_value(schema, &value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn judge_value(schema: &Value, value: &Value) -> Result<(), String> {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators
        .entry(schema.to_string())
        .or_insert_with(|| validator(&OPENAPI, schema));
    if validator.is_valid(value) {
        return Ok(());
    }
    Err(complaints(validator, value))
}

fn complaints(validator: &Validator, value: &Value) -> String {
    let mut text = String::new();
    for error in validator.iter_errors(value) {
        writeln!(text, "{}: {error}", error.instance_path()).unwrap();
    }
    text
}

/// What a part of a document is that may only name where that is.
pub fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match part.get("$ref").and_then(Value::as_str) {
        Some(place) => resolve(document, document.pointer(&place[1..]).unwrap()),
        None => part,
    }
}

/// Judges values by a schema of a document.
pub fn validator(document: &Value, schema: &Value) -> Validator {
    // So that `#/components/schemas/…` leads there.
    let whole = json!({
        "allOf": [schema],
        "components": { "schemas": document["components"]["schemas"] },
    });
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .unwrap()
}

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

/// Those that were made so far, by their schemas: to make one takes longer than to use it.
static VALIDATORS: Mutex<BTreeMap<String, Validator>> = Mutex::new(BTreeMap::new());

/// The payloads of what the server sends, by their `type`.
static MESSAGES: LazyLock<HashMap<Spoken, HashMap<String, Vec<Validator>>>> = LazyLock::new(|| {
    [Spoken::V1, Spoken::V2, Spoken::Stream]
        .into_iter()
        .map(|spoken| (spoken, sent(spoken)))
        .collect()
});

fn sent(spoken: Spoken) -> HashMap<String, Vec<Validator>> {
    let channel = json!(format!("#/channels/{}", spoken.channel()));
    let mut payloads: HashMap<String, Vec<Validator>> = HashMap::new();
    let mut seen = Vec::new();
    for operation in ASYNCAPI["operations"].as_object().unwrap().values() {
        let sends = match operation["action"].as_str().unwrap() {
            "send" => operation,
            _ => &operation["reply"],
        };
        if sends["channel"]["$ref"] != channel {
            continue;
        }
        for message in sends["messages"].as_array().unwrap() {
            let payload = &resolve(&ASYNCAPI, message)["payload"];
            if seen.contains(&payload) {
                continue;
            }
            seen.push(payload);
            for name in types(resolve(&ASYNCAPI, payload)) {
                let known = payloads.entry(name).or_default();
                known.push(validator(&ASYNCAPI, payload));
            }
        }
    }
    payloads
}

/// What the `type` of a message may be.
fn types(payload: &Value) -> Vec<String> {
    let schema = resolve(&ASYNCAPI, &payload["properties"]["type"]);
    let values = match schema.get("const") {
        Some(value) => std::slice::from_ref(value),
        None => schema["enum"].as_array().unwrap(),
    };
    values
        .iter()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}
