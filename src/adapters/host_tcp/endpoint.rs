//! Where the acquirer is, as the configuration says it.
use std::net::IpAddr;
use std::time::Duration;

use super::tls::TlsSettings;

/// Where the acquirer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// `host:port` or `tls://host:port`, IPv6 literals in brackets; tried in the order the engine asks for.
    pub endpoints: Vec<String>,
    /// For name resolution, connection and handshake together.
    pub connect_timeout: Duration,
    /// Needed by `tls://` endpoints.
    pub tls: Option<TlsSettings>,
}

/// Why an endpoint of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The list is empty.
    #[error("host.endpoints is empty: at least one host:port is needed")]
    None,
    /// TLS without the files it needs.
    #[error("host.endpoints: {0} asks for TLS, but no CA is configured")]
    NoTls(String),
    /// Whoever blocks the TLS endpoint would get the plain one.
    #[error("host.endpoints mixes tls:// and plain ones: give only tls:// endpoints, or none")]
    Mixed,
    /// Not a name or address and a port.
    #[error("host.endpoints: {0} is not host:port or tls://host:port (port 1 to 65535)")]
    Form(String),
}

impl HostSettings {
    /// Judges every endpoint, so that the configuration can refuse a bad one at start.
    ///
    /// # Errors
    /// The first endpoint that cannot be used, or none at all.
    pub fn check(&self) -> Result<(), EndpointError> {
        let mut secure = Vec::new();
        for text in &self.endpoints {
            secure.push(self.parse(text)?.tls);
        }
        match secure.split_first() {
            None => Err(EndpointError::None),
            Some((first, others)) if others.iter().any(|other| other != first) => Err(EndpointError::Mixed),
            Some(_) => Ok(()),
        }
    }

    /// Some endpoint wants TLS.
    pub(super) fn wants_tls(&self) -> bool {
        self.endpoints.iter().any(|text| text.starts_with("tls://"))
    }

    /// The endpoint of this index, modulo their number.
    pub(super) fn endpoint(&self, index: usize) -> Result<Endpoint<'_>, EndpointError> {
        let at = index.checked_rem(self.endpoints.len()).ok_or(EndpointError::None)?;
        self.parse(self.endpoints.get(at).ok_or(EndpointError::None)?)
    }

    fn parse<'t>(&self, text: &'t str) -> Result<Endpoint<'t>, EndpointError> {
        let endpoint = Endpoint::parse(text).ok_or_else(|| EndpointError::Form(text.to_owned()))?;
        if endpoint.tls && self.tls.is_none() {
            return Err(EndpointError::NoTls(text.to_owned()));
        }
        Ok(endpoint)
    }
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint<'t> {
    /// As configured: what people are told.
    pub(super) text: &'t str,
    pub(super) tls: bool,
    /// `host:port`: what is resolved.
    pub(super) address: &'t str,
    /// Name or address without brackets: whose certificate is wanted.
    pub(super) name: &'t str,
}

impl<'t> Endpoint<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (tls, address) = text.strip_prefix("tls://").map_or((false, text), |rest| (true, rest));
        let (host, port) = address.rsplit_once(':')?;
        let port_fits = port.parse::<u16>().is_ok_and(|port| port > 0);
        let name = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(literal) => Some(literal).filter(|text| text.parse::<IpAddr>().is_ok())?,
            None => host,
        };
        let bare_colon = host.contains(':') && !host.starts_with('[');
        let fits = !name.is_empty() && !name.contains('/') && !bare_colon && port_fits;
        fits.then_some(Self { text, tls, address, name })
    }
}
