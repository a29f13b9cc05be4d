//! Asks the bus who a peer is, and polkit what it may do. Each question has a deadline.
use super::auth::{Credentials, Need, Security};
use crate::domain::fault::{Fault, FaultName};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::zvariant::{OwnedValue, Str};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

/// For an answer of the bus itself.
const BUS_WAIT: Duration = Duration::from_secs(5);
/// For polkit: it may have to be started, which systemd gives 25 s at most on a bus call.
const POLKIT_WAIT: Duration = Duration::from_secs(25);
/// For polkit when it may ask a person.
const PERSON_WAIT: Duration = Duration::from_secs(120);

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Allowed. `keep`: until polkit says that something changed; else for this call only.
    Yes {
        /// May be remembered.
        keep: bool,
    },
    /// polkit would ask a person.
    Auth,
    /// Refused, and why.
    No(String),
}

impl Verdict {
    /// The word in `GetPermissions`.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Yes { .. } => "yes",
            Self::Auth => "auth",
            Self::No(_) => "no",
        }
    }

    pub(super) const fn may_be_kept(&self) -> bool {
        matches!(self, Self::Yes { keep: true })
    }
}

/// The two places that are asked.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    bus: DBusProxy<'static>,
    polkit: AuthorityProxy<'static>,
    security: Security,
}

impl Lookup {
    pub(super) const fn new(
        bus: DBusProxy<'static>,
        polkit: AuthorityProxy<'static>,
        security: Security,
    ) -> Self {
        Self { bus, polkit, security }
    }

    /// User and groups of a peer, as the bus saw them when it connected.
    ///
    /// # Errors
    /// `NotAuthorized` when the bus does not know: the peer is gone, or is not a local process.
    pub(super) async fn credentials(&self, peer: &str) -> Result<Credentials, Fault> {
        let unknown = || Fault::new(FaultName::NotAuthorized, "the bus does not tell who the caller is");
        let name = BusName::try_from(peer).map_err(|_| unknown())?;
        let asked = timeout(BUS_WAIT, self.bus.get_connection_credentials(name)).await;
        let credentials = asked.map_err(|_| unknown())?.map_err(|_| unknown())?;
        Ok(Credentials {
            uid: credentials.unix_user_id().ok_or_else(unknown)?,
            groups: credentials.into_unix_group_ids().unwrap_or_default(),
        })
    }

    /// Judges one peer. Root always may.
    pub(super) async fn judge(
        &self,
        peer: &str,
        credentials: &Credentials,
        need: Need,
        interactive: bool,
    ) -> Verdict {
        if credentials.uid == 0 {
            Verdict::Yes { keep: true }
        } else if self.security.polkit {
            self.by_polkit(peer, need, interactive).await
        } else {
            self.security.by_groups(&credentials.groups, need)
        }
    }

    async fn by_polkit(&self, peer: &str, need: Need, interactive: bool) -> Verdict {
        let subject = Subject {
            subject_kind: "system-bus-name".to_owned(),
            subject_details: HashMap::from([(
                "name".to_owned(),
                OwnedValue::from(Str::from(peer.to_owned())),
            )]),
        };
        let flags = if interactive {
            CheckAuthorizationFlags::AllowUserInteraction.into()
        } else {
            Default::default()
        };
        // Names the question so that it can be taken back; one person is asked one thing at a time.
        let question =
            if interactive { format!("{peer}/{}/{}", need.action, need.method) } else { String::new() };
        let id = format!("org.posd.Pos1.{}", need.action);
        // polkit takes details from the owner of an action; its rules may look at them.
        let details: HashMap<&str, &str> =
            Some(("method", need.method)).into_iter().filter(|(_, method)| !method.is_empty()).collect();
        let asking = self.polkit.check_authorization(&subject, &id, &details, flags, &question);
        let wait = if interactive { PERSON_WAIT } else { POLKIT_WAIT };
        match timeout(wait, asking).await {
            Ok(Ok(answer)) if answer.is_authorized => {
                // What a password opened ends after some minutes, and nobody tells.
                Verdict::Yes { keep: !answer.details.contains_key("polkit.temporary_authorization_id") }
            }
            Ok(Ok(answer)) if answer.is_challenge => Verdict::Auth,
            Ok(Ok(_)) => Verdict::No("polkit refuses".to_owned()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "polkit cannot be asked");
                Verdict::No(
                    "polkit cannot be asked; install polkit, or set [security] polkit = false".to_owned(),
                )
            }
            Err(_) => {
                if !question.is_empty() {
                    let taken_back = self.polkit.cancel_check_authorization(&question);
                    drop(timeout(BUS_WAIT, taken_back).await);
                }
                Verdict::No("polkit did not answer in time".to_owned())
            }
        }
    }
}
