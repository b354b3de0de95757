use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::Host;

/// A certificate for these hosts, its key, and the authority that vouches for it: three PEM texts
/// that belong together. The authority's own key is thrown away, so trusting it trusts nothing but
/// this one certificate.
pub(super) struct Set {
    pub(super) ca: String,
    pub(super) server: String,
    pub(super) key: String,
}

/// Who vouches for a certificate.
#[derive(Clone, Copy)]
pub(super) struct Authority {
    pub(super) organization: &'static str,
    pub(super) name: &'static str,
}

impl Set {
    pub(super) fn generate(
        authority: Authority,
        hosts: &[Host],
        now: SystemTime,
    ) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let ca_params = ca_params(authority, now);
        let ca = ca_params.self_signed(&ca_key)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&ca_params, &ca_key);
        let server = server_params(authority, hosts, now)?.signed_by(&key, &issuer)?;
        Ok(Self {
            ca: ca.pem(),
            server: server.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// As strict verifiers want it (RFC 5280; Python's `VERIFY_X509_STRICT`): critical basic
/// constraints and key usage, key identifiers on both.
fn ca_params(authority: Authority, now: SystemTime) -> CertificateParams {
    let mut params = params(authority.organization, authority.name, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(
    authority: Authority,
    hosts: &[Host],
    now: SystemTime,
) -> Result<CertificateParams, rcgen::Error> {
    let named = hosts.iter().map(Host::as_str);
    // Only a label: clients look at the hosts below.
    let common_name = named.clone().find(|name| name.len() <= LONGEST_COMMON_NAME);
    let mut params = params(authority.organization, common_name.unwrap_or("server"), now);
    params.subject_alt_names = named.map(subject).collect::<Result<_, _>>()?;
    // Said outright, because only then there is a subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn subject(host: &str) -> Result<SanType, rcgen::Error> {
    Ok(match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(host.try_into()?),
    })
}

fn params(organization: &str, common_name: &str, now: SystemTime) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common_name);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let today = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.use_authority_key_identifier_extension = true;
    params.not_before = today - BEFORE;
    params.not_after = today + AFTER;
    params
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clients' clocks may be behind.
const BEFORE: Duration = DAY;
/// Apple's systems take no server certificate that is good for more than 825 days in all.
const AFTER: Duration = Duration::from_secs(823 * DAY.as_secs());

/// RFC 5280, appendix A.1: `ub-common-name`.
const LONGEST_COMMON_NAME: usize = 64;
