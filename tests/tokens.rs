//! What an operator does with tokens: issue, inspect, list, revoke; and what the server makes of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

use common::jwt::{base64url, now, sign_with_secret, token, with};
use common::{Folder, TestServer, wire};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Exit code, standard output, standard error.
fn run(folder: &Folder, arguments: &str) -> (i32, String, String) {
    let output = folder.run(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The same with a command that must do it.
fn done(folder: &Folder, arguments: &str) -> String {
    let (code, out, err) = run(folder, arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments}");
    out
}

/// A folder with a key of ours in it.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.append("certs/jwt.key", SECRET);
    fs::set_permissions(folder.path("certs/jwt.key"), Permissions::from_mode(0o600)).unwrap();
    folder
}

/// What `token inspect` says last.
fn verdict(folder: &Folder, token: &str) -> String {
    let (code, out, err) = run(folder, &format!("token inspect {token}"));
    assert_eq!(err, "");
    let line = out.lines().last().unwrap();
    let verdict = line.strip_prefix("verdict").unwrap().trim();
    assert_eq!(code == 0, verdict == "good", "{code}: {out}");
    assert!(code == 0 || code == 1);
    verdict.to_owned()
}

const REVOKED: &str = "refused: the token has been revoked";

/// The id of the only opaque token.
fn only_id(folder: &Folder) -> String {
    let list = done(folder, "token list");
    let line = list.lines().nth(1).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn an_opaque_token_is_printed_once_and_only_its_hash_is_kept() {
    let folder = Folder::new();
    let token = folder.token("--opaque --sub bot-1 --symbols BTC*,ETH --ttl 1h");
    let secret = token.strip_prefix("sgc_").unwrap();
    assert_eq!(secret.len(), 43);
    assert!(!folder.path("certs/jwt.key").exists(), "no key is needed");

    let file = folder.read("certs/tokens.toml");
    assert!(!file.contains(secret));
    let mode = fs::metadata(folder.path("certs/tokens.toml")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);

    let list = done(&folder, "token list");
    assert!(!list.contains(secret));
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[1..5],
        ["bot-1", "signals:read", "signals:test", "BTC*,ETH"]
    );
    assert_eq!(row[7], "good");
    assert!(file.contains(row[0]), "the id is the beginning of the hash");

    let said = done(&folder, &format!("token inspect {token}"));
    assert!(!said.contains(secret));
    for fact in [
        "kind       opaque",
        "subject    bot-1",
        "symbols    BTC*,ETH",
        row[0],
    ] {
        assert!(said.contains(fact), "{said}");
    }
    assert_eq!(verdict(&folder, &token), "good");
    assert_eq!(
        verdict(&folder, "sgc_other"),
        "refused: the token is not known here"
    );
}

#[tokio::test]
async fn an_opaque_token_lets_its_owner_in_as_a_jwt_would() {
    let folder = Arc::new(Folder::new());
    let token = folder.token("--opaque --sub bot-1 --symbols BTC*");
    let reader = folder.token("--opaque --sub reader --scope signals:read");
    let none = folder.token("--opaque --sub admin --scope admin");
    let mut server = TestServer::start_in(folder, "");
    let mut bot = server.client_at("/", &token).await.unwrap();
    let mut reader = server.client_at("/", &reader).await.unwrap();
    let ask = |token: String| async move { format!("Authorization: Bearer {token}\r\n") };

    let answer = server.ask("/", &ask(none).await).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "insufficient_scope")
    );
    for wrong in ["sgc_", "sgc_x", &token[..46], &format!("{token}x")] {
        let answer = server.ask("/", &ask(wrong.to_owned()).await).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_token")
        );
        assert!(
            answer.body.contains("the token is not known here"),
            "{answer:?}"
        );
    }

    server.feed("buy ETHUSDT 1 7\nbuy BTCUSDT 1 7\n");
    assert_eq!(bot.text().await, wire("buy", "BTCUSDT", "1", 7));
    assert_eq!(reader.text().await, wire("buy", "ETHUSDT", "1", 7));
    bot.send("test").await;
    assert!(bot.text().await.contains(r#""is_test":true"#));
    let log = server.stop();
    assert!(!log.contains(&token[4..]), "{log}");
}

#[test]
fn what_inspect_says_of_a_jwt() {
    let folder = folder();
    let claims = json!({
        "sub": "bot-1", "exp": 4_102_444_800_u64, "iat": 1_700_000_000, "nbf": 1_700_000_000,
        "jti": "t-1", "iss": "us", "aud": ["bots", "others"], "scope": "signals:read admin x",
        "symbols": ["BTC*"],
    });
    let good = token(&claims, SECRET);
    insta::assert_snapshot!(done(&folder, &format!("token inspect {good}")), @"
    kind       JWT
    subject    bot-1
    scopes     signals:read admin
    symbols    BTC*
    issued     2023-11-14T22:13:20Z
    not before 2023-11-14T22:13:20Z
    expires    2100-01-01T00:00:00Z
    jti        t-1
    issuer     us
    audience   bots others
    signed by  certs/jwt.key
    verdict    good
    ");
    let forged = token(&claims, "another secret, as long as needed");
    let (code, said, _) = run(&folder, &format!("token inspect {forged}"));
    assert_eq!(code, 1);
    assert!(said.contains("signed by  none of ours"), "{said}");
    assert!(
        said.ends_with("verdict    refused: the signature does not match\n"),
        "{said}"
    );
    // What the server would say with other settings.
    let elsewhere = format!("{good} --auth-issuer them");
    assert!(verdict(&folder, &elsewhere).contains("iss is not the issuer"));
    for (token, problem) in [
        (token(&with("exp", 1), SECRET), "the token has expired"),
        (token(&with("nbf", now() + 3600), SECRET), "not valid yet"),
        (token(&with("sub", ""), SECRET), "the claim sub is empty"),
        ("nonsense".to_owned(), "has not the three parts of a JWT"),
        ("a.b.c".to_owned(), "not base64url"),
    ] {
        let verdict = verdict(&folder, &token);
        assert!(
            verdict.starts_with("refused: ") && verdict.contains(problem),
            "{verdict}"
        );
    }
    // What a stranger writes does not steer the terminal.
    let bell = token(&with("sub", "\u{1b}[2J\nverdict    good"), "x".repeat(32));
    let (code, said, _) = run(&folder, &format!("token inspect {bell}"));
    assert_eq!(code, 1);
    assert!(
        said.contains(r"subject    \u{1b}[2J\nverdict    good"),
        "{said}"
    );
}

#[test]
fn a_token_can_come_on_standard_input_where_no_history_keeps_it() {
    let folder = folder();
    let token = folder.token("--sub bot-1");
    let pipe = |arguments: &str, text: &str| {
        let mut command = folder.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, err) = (output.stdout, output.stderr);
        (
            output.status.code().unwrap(),
            String::from_utf8([out, err].concat()).unwrap(),
        )
    };
    let line = format!("{token}\n");
    let (code, said) = pipe("token inspect -", &line);
    assert!(code == 0 && said.ends_with("verdict    good\n"), "{said}");
    let (code, said) = pipe("token revoke -", &line);
    assert!(code == 0 && said.starts_with("revoked the JWT "), "{said}");
    let (code, said) = pipe("token inspect -", &line);
    assert!(code == 1 && said.contains(REVOKED), "{said}");
    let (code, said) = pipe("token inspect -", "\n");
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"signalcast: TOKEN: is empty; write one, or - for standard input");
}

#[test]
fn every_kind_of_token_can_be_revoked_by_itself() {
    let folder = folder();
    let mut without = with("sub", "bot-1");
    let named = token(&with("jti", "t-1"), SECRET);
    let other = token(&with("jti", "t-2"), SECRET);
    let nameless = token(&without, SECRET);
    without["sub"] = json!("bot-2");
    let stays = token(&without, SECRET);
    let opaque = folder.token("--opaque --sub bot-1");
    let id = only_id(&folder);
    let by_id = folder.token("--opaque --sub bot-1");
    let list = done(&folder, "token list");
    let second = list
        .lines()
        .skip(1)
        .map(|line| &line[..16])
        .find(|other| *other != id);
    let second = second.unwrap().to_owned();

    let all = [&named, &other, &nameless, &stays, &opaque, &by_id];
    assert!(all.iter().all(|token| verdict(&folder, token) == "good"));
    for target in [
        &named,
        "--jti t-2",
        &nameless,
        &opaque,
        &second[..12].to_uppercase(),
    ] {
        let said = done(&folder, &format!("token revoke {target}"));
        assert!(
            said.starts_with("revoked ") && said.ends_with('\n'),
            "{said}"
        );
        assert!(!said.contains(&opaque[4..]));
        let again = done(&folder, &format!("token revoke {target}"));
        assert!(again.contains(", already at 20"), "{again}");
    }
    assert_eq!(verdict(&folder, &stays), "good");
    for token in [&named, &other, &nameless, &opaque, &by_id] {
        assert_eq!(verdict(&folder, token), REVOKED);
    }
    // Any other token of the same name is the same token.
    let mut longer = with("jti", "t-1");
    longer["exp"] = json!(now() + 7200);
    assert_eq!(verdict(&folder, &token(&longer, SECRET)), REVOKED);
    let list = done(&folder, "token list");
    assert_eq!(list.matches(" revoked\n").count(), 2, "{list}");
    for entry in ["jti      t-1 ", "jti      t-2 ", &format!("token    {id} ")] {
        assert!(list.contains(entry), "{entry}:\n{list}");
    }
}

#[test]
fn no_other_spelling_of_a_revoked_token_is_good() {
    let folder = folder();
    let claims = with("sub", "bot-1").to_string();
    let token = sign_with_secret(r#"{"alg":"HS256"}"#, &claims, SECRET);
    // Cut off, as from a log.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let said = done(&folder, &format!("token revoke {signed}.x"));
    assert_eq!(
        said,
        "revoked a JWT of \"bot-1\", which no key here has signed\n"
    );
    assert_eq!(verdict(&folder, &token), REVOKED);
    for other in [
        format!("{signed}.{signature}="),
        format!("{token}A"),
        format!("{signed}=.{signature}"),
    ] {
        assert!(verdict(&folder, &other).starts_with("refused: "), "{other}");
    }
}

#[test]
fn only_a_genuine_token_says_when_its_revocation_may_be_forgotten() {
    let folder = folder();
    let mut claims = with("jti", "t-1");
    let genuine = token(&claims, SECRET);
    claims["exp"] = json!(1);
    let forged = token(&claims, "another secret, as long as needed");
    let expires = |folder: &Folder| {
        let list = done(folder, "token list");
        let line = list.lines().last().unwrap().to_owned();
        line.split_whitespace().last().unwrap().to_owned()
    };
    // Somebody's forgery of it must not make the revocation a short one.
    done(&folder, &format!("token revoke {forged}"));
    assert_eq!(expires(&folder), "-");
    done(&folder, &format!("token revoke {genuine}"));
    assert_eq!(expires(&folder), "-", "it has been forgotten how long");
    assert_eq!(verdict(&folder, &genuine), REVOKED);

    let claims = with("jti", "t-2");
    done(&folder, &format!("token revoke {}", token(&claims, SECRET)));
    let first = expires(&folder);
    let mut claims = with("jti", "t-2");
    claims["exp"] = json!(now() + 7200);
    done(&folder, &format!("token revoke {}", token(&claims, SECRET)));
    assert!(expires(&folder) > first && first.starts_with("20"));
    done(&folder, "token revoke --jti t-2");
    assert_eq!(expires(&folder), "-");
}

#[test]
fn a_new_token_for_a_revoked_subject_works_in_the_same_second_and_the_old_ones_do_not() {
    let folder = folder();
    for _ in 0..3 {
        let jwt = folder.token("--sub bot-1");
        let opaque = folder.token("--opaque --sub bot-1");
        let undated = token(&with("sub", "bot-1"), SECRET);
        let other = folder.token("--sub bot-10");
        let said = done(&folder, "token revoke --sub bot-1");
        assert_eq!(said, "revoked all tokens of \"bot-1\" issued until now\n");
        for old in [&jwt, &opaque, &undated] {
            assert_eq!(verdict(&folder, old), REVOKED);
        }
        assert_eq!(verdict(&folder, &other), "good");
        for options in ["--sub bot-1", "--opaque --sub bot-1"] {
            assert_eq!(
                verdict(&folder, &folder.token(options)),
                "good",
                "{options}"
            );
        }
    }
    let list = done(&folder, "token list");
    assert_eq!(
        list.matches("\nsub      bot-1 ").count(),
        1,
        "one line for all: {list}"
    );
}

#[test]
fn commands_at_once_lose_nothing() {
    const EACH: usize = 12;
    let folder = folder();
    let tokens: Vec<String> = thread::scope(|scope| {
        let commands: Vec<_> = (0..EACH)
            .map(|n| {
                let folder = &folder;
                scope.spawn(move || {
                    done(folder, &format!("token revoke --jti t-{n}"));
                    folder.token(&format!("--opaque --sub bot-{n}"))
                })
            })
            .collect();
        commands
            .into_iter()
            .map(|command| command.join().unwrap())
            .collect()
    });
    assert!(tokens.iter().all(|token| verdict(&folder, token) == "good"));
    let list = done(&folder, "token list");
    assert_eq!(list.matches(" good\n").count(), EACH, "{list}");
    assert_eq!(list.matches("\njti ").count(), EACH, "{list}");
    let left: Vec<_> = fs::read_dir(folder.path("certs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0], "drafts are left behind");
}

#[test]
fn a_command_that_hangs_does_not_hang_the_others() {
    let folder = folder();
    folder.append("certs/tokens.toml.lock", "");
    let lock = fs::File::open(folder.path("certs/tokens.toml.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (code, out, err) = run(&folder, "token revoke --jti t-1");
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!(err, @"signalcast: auth.tokens: certs/tokens.toml: another command has been changing it for 5 s; end that one, which hangs");
    drop(lock);
    done(&folder, "token revoke --jti t-1");
}

#[test]
fn what_expired_long_ago_is_forgotten_and_what_may_still_come_is_not() {
    let folder = folder();
    folder.append(
        "certs/tokens.toml",
        &format!(
            r#"
[[tokens]]
sha256 = "{}"
sub = "old"
scope = "signals:read"
created = 2020-01-01T00:00:00Z
expires = 2020-02-01T00:00:00Z

[[revoked]]
jti = "old"
at = 2020-01-01T00:00:00Z
expires = 2020-02-01T00:00:00Z

[[revoked]]
jti = "for-ever"
at = 2020-01-01T00:00:00Z

[[revoked]]
sub = "somebody"
at = 2020-01-01T00:00:00Z
"#,
            "0".repeat(64)
        ),
    );
    let path = folder.path("certs/tokens.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let list = done(&folder, "token list");
    assert!(
        list.contains(" expired\n") && list.contains("jti      old "),
        "{list}"
    );
    done(
        &folder,
        &format!("token revoke {}", token(&with("exp", now() - 60), SECRET)),
    );
    let list = done(&folder, "token list");
    assert!(!list.contains("old"), "{list}");
    assert!(
        list.contains("for-ever") && list.contains("somebody"),
        "{list}"
    );
    assert_eq!(
        list.lines().count(),
        4,
        "the one that expired just now, too: {list}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn a_linked_file_stays_linked() {
    let folder = folder();
    fs::create_dir_all(folder.path("shared")).unwrap();
    folder.append("shared/tokens.toml", "");
    fs::set_permissions(
        folder.path("shared/tokens.toml"),
        Permissions::from_mode(0o600),
    )
    .unwrap();
    std::os::unix::fs::symlink("../shared/tokens.toml", folder.path("certs/tokens.toml")).unwrap();
    folder.token("--opaque --sub bot-1");
    assert!(folder.read("shared/tokens.toml").contains("bot-1"));
    let link = fs::symlink_metadata(folder.path("certs/tokens.toml")).unwrap();
    assert!(link.is_symlink());
}

#[test]
fn mistakes_are_told_all_at_once_with_exit_code_2() {
    let folder = folder();
    folder.append("bad.toml", "[[tokens]]\nsub = 7\n");
    fs::set_permissions(folder.path("bad.toml"), Permissions::from_mode(0o600)).unwrap();
    folder.append("open.toml", "");
    fs::set_permissions(folder.path("open.toml"), Permissions::from_mode(0o644)).unwrap();
    let damaged = format!("a.{}.c", base64url("{}"));
    let mut told = String::new();
    for arguments in [
        "token inspect",
        "token inspect a b",
        "token inspect abc --jwt-key none.key --tokens bad.toml",
        "token list --tokens bad.toml",
        "token list x --json",
        "token revoke",
        "token revoke abc --jti x",
        "token revoke --jti x --sub y --sub z --lewway 3s",
        "token revoke --sub=",
        "token revoke abc",
        "token revoke sgc_abc",
        "token revoke 0123456789abcdef",
        &format!("token revoke {damaged}"),
        "token revoke --jti x --tokens open.toml",
        "token issue --opaque --sub bot-1 --tokens bad.toml",
        "token issue --sub bot-1 --tokens bad.toml",
        "token issue --opaque --ttl 0s --scope x",
        "serve --listen 127.0.0.1:0 --tokens bad.toml --plaintext",
        "serve --listen 127.0.0.1:0 --tokens open.toml --plaintext --drain 0s",
        "token revok x",
    ] {
        let (code, out, err) = run(&folder, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments}");
        told += &format!("$ {arguments}\n{err}");
    }
    assert_eq!(folder.read("bad.toml"), "[[tokens]]\nsub = 7\n");
    insta::assert_snapshot!(told);
}

#[test]
fn somebody_whose_revocation_lies_ahead_of_the_clock_gets_no_token_that_would_not_work() {
    let folder = folder();
    folder.append(
        "certs/tokens.toml",
        "[[revoked]]\nsub = \"bot-1\"\nat = 2100-01-01T00:00:00Z\n",
    );
    fs::set_permissions(
        folder.path("certs/tokens.toml"),
        Permissions::from_mode(0o600),
    )
    .unwrap();
    for kind in ["", "--opaque"] {
        let (code, out, err) = run(&folder, &format!("token issue --sub bot-1 {kind}"));
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(
            err.contains("ahead of the clock; set the clock right"),
            "{err}"
        );
    }
}
