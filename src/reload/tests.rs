use super::*;
use crate::config::Surroundings;

#[test]
fn the_development_certificate_stays_refused_where_others_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let around = Surroundings {
        folder: folder.path().to_owned(),
        variables: Vec::new(),
        cores: 1,
        open_files: None,
    };
    let mut config = Config::defaults(&around);
    let file = |name: &str| folder.path().join("certs").join(name);
    config.server.tls_cert = file("server.pem");
    config.server.tls_key = file("server.key");
    config.auth.jwt_key = vec![file("jwt.key")];
    config.auth.tokens = file("tokens.toml");
    config.data_dir = folder.path().join("data");
    let prepared = crate::first_start::prepare(&config, SystemTime::now()).unwrap();
    // As if it had begun with another one.
    config.server.listen = vec!["0.0.0.0:8080".parse().unwrap()];
    let (mut reload, ..) = Reload::new(&config, &prepared, &Registry::default());
    let certificate = reload.certificate.as_mut().unwrap();
    let outcome = certificate.reload(
        &config,
        Cause::Asked,
        SystemTime::now(),
        &mut Reloads::default(),
    );
    let Outcome::Refused(refusals) = outcome else {
        panic!("taken");
    };
    let said = refusals.to_string();
    assert!(said.contains("is a development certificate"), "{said}");
}
