//! Who may do what: polkit, or the groups of the caller where the configuration says that there is no polkit.
//!
//! One task keeps what is known of each peer until it leaves the bus. It never waits for the bus itself:
//! look-ups run in tasks of their own. Roles of the signed-on operator are the engine's affair.
use super::auth_lookup::{Lookup, Verdict};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::outcome::words;
use crate::engine::handle::Caller;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::{mpsc, oneshot, watch};
use zbus::export::ordered_stream::OrderedStreamExt;
use zbus::fdo::NameOwnerChangedStream;
use zbus::message::{Flags, Header};
use zbus_polkit::policykit1::ChangedStream;

words! {
    /// What a method needs: the last part of the polkit action `org.posd.Pos1.<action>`.
    Action {
        /// Start sales and the like, cancel, sign on.
        Trade = "trade",
        /// Register an agent.
        Agent = "agent",
        /// Look at anything.
        Query = "query",
        /// Print again.
        Reprint = "reprint",
        /// Open the drawer.
        Drawer = "drawer",
        /// Undo a sale.
        Void = "void",
        /// Give money back.
        Refund = "refund",
        /// Pre-authorisations and what follows them.
        PreAuth = "pre-auth",
        /// Close the batch.
        Settle = "settle",
        /// Add, remove, unlock operators.
        Operators = "operators",
        /// Hold, park and resolve queue entries.
        QueueManage = "queue-manage",
        /// Change the configuration.
        Parameters = "parameters",
        /// Load a master key.
        Keys = "keys",
        /// Scan and connect.
        Network = "network",
        /// Reset devices, self-test, inhibit.
        DeviceControl = "device-control",
        /// Backup, restore, reports.
        Backup = "backup",
    }
}

/// What a call needs: an action, and for some methods an exception from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Need {
    pub(super) action: Action,
    /// The method where cashiers may do it although the action is closed to them; empty = none. polkit hears it
    /// as the detail `method`.
    pub(super) method: &'static str,
}

impl From<Action> for Need {
    fn from(action: Action) -> Self {
        Self { action, method: "" }
    }
}

impl Need {
    /// One of the methods of an action that is closed to cashiers, which they may do too.
    pub(super) const fn by_cashiers(action: Action, method: &'static str) -> Self {
        Self { action, method }
    }

    /// True if the group `posd-cashier` may do it where there is no polkit; the group `posd-technician` may
    /// do all.
    const fn open_to_cashiers(self) -> bool {
        use Action::{Backup, DeviceControl, Keys, Parameters};
        !self.method.is_empty() || !matches!(self.action, Parameters | Keys | DeviceControl | Backup)
    }
}

/// How callers are judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Security {
    /// `[security] polkit`. True: polkit decides, and without it on the bus everybody but root is refused.
    pub polkit: bool,
    /// Group id of `posd-cashier`, where the system has that group. Used only without polkit.
    pub cashier_gid: Option<u32>,
    /// Group id of `posd-technician`, where the system has that group. Used only without polkit.
    pub technician_gid: Option<u32>,
}

/// Peers remembered at once; when there are more, all are forgotten and looked up again.
const PEERS_MAX: usize = 256;
/// Questions waiting for the keeper; askers wait for a place.
const QUESTIONS: usize = 32;

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    pub(super) uid: u32,
    pub(super) groups: Vec<u32>,
}

#[derive(Debug)]
struct Known {
    credentials: Credentials,
    granted: BTreeSet<Need>,
}

#[derive(Debug)]
enum Question {
    /// May the peer do it?
    Admit { peer: String, need: Need, interactive: bool, answer: oneshot::Sender<Result<Caller, Fault>> },
    /// A look-up learned something worth keeping.
    Learned { peer: String, credentials: Credentials, granted: Option<Need> },
}

/// The question's way to the keeper; cloned into every object.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    questions: mpsc::Sender<Question>,
    lookup: Lookup,
}

impl Gate {
    /// Lets the sender of a call do it, or not.
    ///
    /// # Errors `NotAuthorized`, or `AuthenticationRequired` where polkit would ask a person and the caller
    /// did not allow it.
    pub(super) async fn admit(&self, header: &Header<'_>, need: Need) -> Result<Caller, Fault> {
        let interactive = header.primary().flags().contains(Flags::AllowInteractiveAuth);
        let peer = sender(header)?;
        let (answer, wait) = oneshot::channel();
        let question = Question::Admit { peer, need, interactive, answer };
        self.questions.send(question).await.map_err(|_| stopping())?;
        wait.await.map_err(|_| stopping())?
    }

    /// What the sender of a call may do: `yes`, `auth` or `no` for each action.
    ///
    /// # Errors
    /// The peer or polkit cannot be asked.
    pub(super) async fn permissions(&self, header: &Header<'_>) -> Result<HashMap<String, String>, Fault> {
        let peer = sender(header)?;
        let credentials = self.lookup.credentials(&peer).await?;
        let mut permissions = HashMap::new();
        for action in Action::ALL {
            let verdict = self.lookup.judge(&peer, &credentials, Need::from(*action), false).await;
            permissions.insert(action.word().to_owned(), verdict.word().to_owned());
        }
        Ok(permissions)
    }
}

fn sender(header: &Header<'_>) -> Result<String, Fault> {
    header
        .sender()
        .map(ToString::to_string)
        .ok_or_else(|| Fault::new(FaultName::NotAuthorized, "the call has no sender; come through the bus"))
}

fn stopping() -> Fault {
    Fault::new(FaultName::Failed, "the terminal is stopping")
}

/// The task behind [`Gate`].
pub(super) struct GateKeeper {
    lookup: Lookup,
    known: HashMap<String, Known>,
    questions: mpsc::Receiver<Question>,
    /// Weak, so that the task ends with the last gate.
    learn: mpsc::WeakSender<Question>,
    changed: watch::Sender<()>,
}

impl GateKeeper {
    /// Makes the pair; the watch fires when polkit's rules or sessions have changed.
    pub(super) fn new(lookup: Lookup) -> (Gate, Self, watch::Receiver<()>) {
        let (sender, questions) = mpsc::channel(QUESTIONS);
        let (changed, watch) = watch::channel(());
        let keeper = Self {
            lookup: lookup.clone(),
            known: HashMap::new(),
            questions,
            learn: sender.downgrade(),
            changed,
        };
        (Gate { questions: sender, lookup }, keeper, watch)
    }

    /// Runs until the last gate is gone. `vanished` tells the peers that left, `polkit` that its answers may
    /// differ.
    pub(super) async fn run(
        mut self,
        mut vanished: NameOwnerChangedStream,
        mut polkit: Option<ChangedStream>,
    ) {
        loop {
            tokio::select! {
                question = self.questions.recv() => match question {
                    Some(question) => self.take(question),
                    None => return,
                },
                Some(change) = vanished.next() => {
                    if let Ok(args) = change.args() {
                        self.known.remove(args.name.as_str());
                    }
                }
                Some(_) = next(&mut polkit) => {
                    self.known.values_mut().for_each(|known| known.granted.clear());
                    self.changed.send_replace(());
                }
            }
        }
    }

    fn take(&mut self, question: Question) {
        match question {
            Question::Admit { peer, need, interactive, answer } => {
                let known = self.known.get(&peer);
                if let Some(known) = known.filter(|known| known.granted.contains(&need)) {
                    // The asker may have gone; then nobody waits for the answer.
                    answer.send(Ok(Caller { peer, uid: known.credentials.uid })).ok();
                    return;
                }
                let credentials = known.map(|known| known.credentials.clone());
                let (lookup, learn) = (self.lookup.clone(), self.learn.clone());
                tokio::spawn(async move {
                    answer.send(admit(&lookup, &learn, peer, credentials, need, interactive).await).ok();
                });
            }
            Question::Learned { peer, credentials, granted } => {
                if self.known.len() >= PEERS_MAX && !self.known.contains_key(&peer) {
                    self.known.clear();
                }
                let known =
                    self.known.entry(peer).or_insert_with(|| Known { credentials, granted: BTreeSet::new() });
                known.granted.extend(granted);
            }
        }
    }
}

/// A stream that may be missing never yields then.
async fn next(stream: &mut Option<ChangedStream>) -> Option<zbus_polkit::policykit1::Changed> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// Looks a peer up and judges it; tells the keeper what may be kept.
async fn admit(
    lookup: &Lookup,
    learn: &mpsc::WeakSender<Question>,
    peer: String,
    credentials: Option<Credentials>,
    need: Need,
    interactive: bool,
) -> Result<Caller, Fault> {
    let credentials = match credentials {
        Some(credentials) => credentials,
        None => lookup.credentials(&peer).await?,
    };
    let uid = credentials.uid;
    let verdict = lookup.judge(&peer, &credentials, need, interactive).await;
    if let Some(learn) = learn.upgrade() {
        let granted = verdict.may_be_kept().then_some(need);
        // A full queue only costs the next call a look-up.
        learn.try_send(Question::Learned { peer: peer.clone(), credentials, granted }).ok();
    }
    let action = need.action;
    match verdict {
        Verdict::Yes { .. } => Ok(Caller { peer, uid }),
        Verdict::Auth => Err(Fault::new(
            FaultName::AuthenticationRequired,
            format!("org.posd.Pos1.{action} needs a password; call with interactive authorization allowed"),
        )),
        Verdict::No(why) => {
            Err(Fault::new(FaultName::NotAuthorized, format!("org.posd.Pos1.{action} is not allowed: {why}")))
        }
    }
}

impl Security {
    /// The verdict of the groups, where there is no polkit.
    pub(super) fn by_groups(&self, groups: &[u32], need: Need) -> Verdict {
        let member = |gid: Option<u32>| gid.is_some_and(|gid| groups.contains(&gid));
        if member(self.technician_gid) || (member(self.cashier_gid) && need.open_to_cashiers()) {
            Verdict::Yes { keep: true }
        } else {
            let group = if need.open_to_cashiers() { "posd-cashier" } else { "posd-technician" };
            Verdict::No(format!("the user must be in group {group}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the contract, as far as this version has methods.
    #[test]
    fn without_polkit_the_groups_decide() {
        let security = Security { polkit: false, cashier_gid: Some(10), technician_gid: Some(20) };
        let judged = |groups: &[u32], need| matches!(security.by_groups(groups, need), Verdict::Yes { .. });
        let may = |groups: &[u32], action: Action| judged(groups, action.into());
        for action in Action::ALL {
            assert!(may(&[5, 20], *action), "{action}");
            assert!(!may(&[5], *action), "{action}");
        }
        let closed: Vec<_> = Action::ALL.iter().filter(|action| !may(&[10], **action)).collect();
        assert_eq!(closed, [&Action::Parameters, &Action::Keys, &Action::DeviceControl, &Action::Backup]);
        assert!(
            judged(&[10], Need::by_cashiers(Action::Backup, "Export"))
                && !judged(&[5], Need::by_cashiers(Action::Backup, "Export"))
        );
        assert!(!matches!(Security::default().by_groups(&[0], Action::Trade.into()), Verdict::Yes { .. }));
    }
}
