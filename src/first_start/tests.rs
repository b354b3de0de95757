use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::auth::{Authenticator, JwtRules, Scope, Token};
use crate::config::Surroundings;

/// The defaults, with everything in a folder of its own.
fn config(folder: &Path) -> Config {
    let around = Surroundings {
        folder: folder.to_owned(),
        variables: Vec::new(),
        cores: 1,
        open_files: None,
    };
    let mut config = Config::defaults(&around);
    config.server.tls_cert = folder.join("certs/server.pem");
    config.server.tls_key = folder.join("certs/server.key");
    config.auth.jwt_key = vec![folder.join("certs/jwt.key")];
    config.data_dir = folder.join("data");
    config
}

fn announced(config: &Config, prepared: &Prepared, address: &str, reader: Reader) -> String {
    let mut out = Vec::new();
    Announcement {
        config,
        prepared,
        bound: &[address.parse().unwrap()],
        reader,
        program: "signalcast",
        now: SystemTime::now(),
    }
    .write(&mut out)
    .unwrap();
    String::from_utf8(out).unwrap()
}

/// The token in the line for `listen`, and the text without it and the folder.
fn without_token(text: &str, folder: &Path) -> (Token, String) {
    let (_, rest) = text.split_once("--token ").unwrap();
    let token = rest.split_whitespace().next().unwrap();
    let text = text.replace(token, "TOKEN");
    let folder = format!("{}/", folder.display());
    (Token::new(token), text.replace(&folder, ""))
}

#[test]
fn a_fresh_folder_gets_all_that_is_needed_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let now = SystemTime::now();
    assert!(look(&config, now).is_empty());
    assert!(
        !folder.path().join("certs").exists(),
        "to look makes nothing"
    );

    let first = prepare(&config, now).unwrap();
    assert_eq!(first.made, Made::New);
    assert!(first.keys.can_sign() && first.identity.is_some());
    assert_eq!(first.warnings().count(), 0);
    for (name, mode) in [
        ("ca.pem", 0o644),
        ("server.pem", 0o644),
        ("server.key", 0o600),
        ("jwt.key", 0o600),
    ] {
        let file = fs::metadata(folder.path().join("certs").join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, mode, "{name}");
    }
    assert!(folder.path().join("data").is_dir());
    assert_eq!(prepare(&config, now).unwrap().made, Made::Existing);
}

#[test]
fn a_first_start_tells_what_to_paste() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let prepared = prepare(&config, SystemTime::now()).unwrap();
    let text = announced(&config, &prepared, "127.0.0.1:8123", Reader::Program);
    let (token, text) = without_token(&text, folder.path());
    insta::assert_snapshot!(text);

    let rules = JwtRules {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
    };
    let guard = Authenticator::new(prepared.keys.clone(), prepared.book.clone(), rules);
    let hours = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600);
    let principal = guard.authenticate(&token, hours(23)).unwrap();
    assert!(principal.has(Scope::SignalsRead) && principal.has(Scope::SignalsTest));
    assert!(!principal.has(Scope::Admin));
    assert!(guard.authenticate(&token, hours(25)).is_err());
}

#[test]
fn a_later_start_tells_programs_only_where_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    prepare(&config, SystemTime::now()).unwrap();
    let prepared = prepare(&config, SystemTime::now()).unwrap();
    let text = announced(&config, &prepared, "[::]:8080", Reader::Program);
    assert_eq!(text, "listening wss://[::]:8080\n");
    let person = announced(&config, &prepared, "[::]:8080", Reader::Person);
    assert!(
        person.contains("listen wss://[::1]:8080 --token "),
        "{person}"
    );
}

#[test]
fn a_certificate_for_other_names_is_shown_with_the_first_of_them_and_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let place = certs::Place::new(&config.server.tls_cert, &config.server.tls_key);
    for (hosts, url) in [
        (
            ["*.example.org", "bot.example.org"],
            "wss://bot.example.org:443",
        ),
        (["bot.example.org", "127.0.0.1"], "wss://127.0.0.1:443"),
        (["*.example.org", "2001:db8::5"], "wss://127.0.0.1:443"),
    ] {
        let hosts = hosts.map(|host| host.parse().unwrap());
        let now = SystemTime::now();
        let made = place.issue(&hosts, certs::Overwrite::Anything, now);
        assert_eq!(made.unwrap().hosts(), hosts.map(|host| host.to_string()));
        let prepared = prepare(&config, now).unwrap();
        let text = announced(&config, &prepared, "0.0.0.0:443", Reader::Person);
        assert!(text.starts_with("listening wss://0.0.0.0:443\n"), "{text}");
        assert!(text.contains(&format!("(\"{url}/\"")), "{text}");
        assert!(text.contains(&format!("listen {url} --token ")), "{text}");
        let ca = folder.path().join("certs/ca.pem");
        assert!(text.contains(&format!("--ca {}", ca.display())), "{text}");
        assert!(text.contains("sslopt={\"ca_certs\": "), "{text}");
    }
}

#[test]
fn plaintext_needs_no_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.server.transport = Transport::Plaintext;
    let prepared = prepare(&config, SystemTime::now()).unwrap();
    assert!(prepared.identity.is_none());
    assert!(!config.server.tls_cert.exists());
    let text = announced(&config, &prepared, "0.0.0.0:80", Reader::Person);
    assert!(text.starts_with("listening ws://0.0.0.0:80\n"), "{text}");
    assert!(text.contains("(\"ws://127.0.0.1:80/\""), "{text}");
    assert!(!text.contains("sslopt"), "{text}");
}

#[test]
fn the_development_certificate_stays_on_this_machine_before_and_after_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let open = |config: &Config| {
        let mut config = config.clone();
        config.server.listen = vec!["0.0.0.0:8080".parse().unwrap()];
        config
    };
    let config = config(folder.path());
    let refused = prepare(&open(&config), SystemTime::now()).unwrap_err();
    assert!(!folder.path().join("certs").exists(), "nothing was made");
    prepare(&config, SystemTime::now()).unwrap();
    let again = prepare(&open(&config), SystemTime::now()).unwrap_err();
    assert_eq!(refused, again);
    let said = refused.to_string();
    insta::assert_snapshot!(
        said.replace(&format!("{}/", folder.path().display()), ""),
        @"signalcast: server.listen: certs/server.pem is a development certificate, which no one elsewhere can check, and 0.0.0.0:8080 can be reached from elsewhere; make one for the names that clients use with signalcast cert --host NAME, name your own with --tls-cert and --tls-key, listen on 127.0.0.1, or allow it with --dev"
    );
    let mut permitted = open(&config);
    permitted.server.dev = true;
    prepare(&permitted, SystemTime::now()).unwrap();
}

#[test]
fn files_that_cannot_be_used_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    prepare(&config, SystemTime::now()).unwrap();
    let certs = folder.path().join("certs");
    fs::write(certs.join("server.pem"), "nonsense").unwrap();
    let others = fs::Permissions::from_mode(0o644);
    fs::set_permissions(certs.join("server.key"), others.clone()).unwrap();
    fs::set_permissions(certs.join("jwt.key"), others).unwrap();
    let said = prepare(&config, SystemTime::now()).unwrap_err().to_string();
    insta::assert_snapshot!(
        said.replace(&format!("{}/", folder.path().display()), ""),
        @"
    signalcast: server.tls_cert: certs/server.pem: holds no PEM certificate; convert it with openssl x509 -inform DER, or name another
    signalcast: server.tls_key: certs/server.key: others may read it (mode 0644); run chmod 600 certs/server.key
    signalcast: auth.jwt_key: certs/jwt.key: others may read it (mode 0644); run chmod 600 certs/jwt.key
    "
    );
}
