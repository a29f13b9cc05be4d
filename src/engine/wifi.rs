//! Scan and Connect: a wireless network is joined behind a checkpoint of its manager. It stays only if the bank can
//! be reached over it; else, and if this process dies meanwhile, what was before comes back by itself.
use super::Engine;
use super::view::JobValue;
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::link::LinkName;
use crate::domain::way::WayFault;
use crate::ports::{JoinRequest, LinkCommand, LinkFault, Network};
use core::time::Duration;

/// For the link task to scan or join. Its own deadlines are below it.
const PATIENCE: Duration = Duration::from_secs(75);
/// Tries to reach the bank before the network is given up. A fresh link may need a moment.
const PROBES_MAX: u8 = 3;

/// A network that is being joined.
pub(super) struct Joining {
    id: u64,
    job: u64,
    step: Step,
    until: BootTime,
}

enum Step {
    /// The manager sets it up.
    Joining,
    /// The manager has; its facts may come a moment later.
    Waiting { link: LinkName },
    /// The bank is being tried over it.
    Probing { link: LinkName, probe: u64, tries: u8 },
    /// It is good, and being kept.
    Keeping { link: LinkName },
    /// It is not: what was before is coming back.
    Back(Fault),
}

impl Engine {
    /// `Network.Scan`.
    pub(super) fn scan(&mut self) -> Result<u64, Fault> {
        if !self.links.scans.is_empty() {
            return Err(Fault::new(FaultName::Busy, "a scan is running; wait for it"));
        }
        let job = self.new_job("scan")?;
        let id = self.fresh_id();
        self.links.scans.insert(id, job);
        self.job_runs(job, "scanning", 0, false, "");
        if (self.links.outlet)(LinkCommand::Scan { id }).is_err() {
            self.scanned(id, Err(LinkFault::NoManager));
        }
        Ok(job)
    }

    pub(super) fn scanned(&mut self, id: u64, result: Result<Vec<Network>, LinkFault>) {
        let Some(job) = self.links.scans.remove(&id) else { return };
        match result {
            Ok(networks) => {
                let row = |network: &Network| {
                    vec![
                        ("ssid".to_owned(), JobValue::Bytes(network.ssid.clone())),
                        ("ssid-text".to_owned(), JobValue::Text(readable(&network.ssid))),
                        ("strength".to_owned(), JobValue::Byte(network.strength)),
                        ("secured".to_owned(), JobValue::Flag(network.secured)),
                    ]
                };
                let rows = JobValue::Rows(networks.iter().map(row).collect());
                self.end_job(job, vec![("rows".to_owned(), rows)], None);
            }
            Err(fault) => self.end_job(job, Vec::new(), Some(told(&fault))),
        }
    }

    /// `Network.Connect`.
    pub(super) fn join(&mut self, wanted: JoinRequest) -> Result<u64, Fault> {
        if self.links.joining.is_some() {
            return Err(Fault::new(FaultName::Busy, "a network is being joined; wait for it"));
        }
        if self.active.is_some() || self.line.carries_money() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it"));
        }
        let job = self.new_job("connect")?;
        let id = self.fresh_id();
        let until = self.system.boot().after(PATIENCE);
        self.links.joining = Some(Joining { id, job, step: Step::Joining, until });
        self.job_runs(job, "joining", 10, false, "");
        if (self.links.outlet)(LinkCommand::Join { id, wanted: Box::new(wanted) }).is_err() {
            self.joined(id, Err(LinkFault::NoManager));
        }
        Ok(job)
    }

    /// The join of this number, in whatever step it is.
    fn joining(&mut self, id: u64) -> Option<Joining> {
        self.links.joining.take_if(|joining| joining.id == id)
    }

    pub(super) fn joined(&mut self, id: u64, result: Result<LinkName, LinkFault>) {
        let Some(joining) = self.joining(id) else { return };
        match result {
            Ok(link) => {
                self.job_runs(joining.job, "testing", 50, false, "");
                self.probe_join(Joining { step: Step::Waiting { link }, ..joining }, link, 0);
            }
            Err(fault) => self.end_job(joining.job, Vec::new(), Some(told(&fault))),
        }
    }

    fn probe_join(&mut self, joining: Joining, link: LinkName, tries: u8) {
        let step = match self.start_probe(link) {
            Some(probe) => Step::Probing { link, probe, tries: tries.saturating_add(1) },
            None => Step::Waiting { link },
        };
        self.links.joining = Some(Joining { step, ..joining });
    }

    /// A probe has ended: perhaps the one over the new network.
    pub(super) fn join_probed(&mut self, id: u64, fault: Option<&WayFault>) {
        let of_it =
            |joining: &mut Joining| matches!(joining.step, Step::Probing { probe, .. } if probe == id);
        let Some(joining) = self.links.joining.take_if(of_it) else { return };
        let Step::Probing { link, tries, .. } = joining.step else { return };
        match fault {
            None => {
                self.link_tried(link, None);
                self.put_link(LinkCommand::Keep { id: joining.id });
                self.links.joining = Some(Joining { step: Step::Keeping { link }, ..joining });
            }
            Some(_) if tries < PROBES_MAX => self.probe_join(joining, link, tries),
            Some(fault) => {
                let words = format!(
                    "the bank cannot be reached over this network ({fault}); what was before is back"
                );
                self.take_join_back(joining, words);
            }
        }
    }

    fn take_join_back(&mut self, joining: Joining, words: String) {
        self.put_link(LinkCommand::RollBack { id: joining.id });
        let until = self.system.boot().after(PATIENCE);
        let step = Step::Back(Fault::new(FaultName::RolledBack, words));
        self.links.joining = Some(Joining { step, until, ..joining });
    }

    pub(super) fn join_kept(&mut self, id: u64, result: Result<(), LinkFault>) {
        let Some(joining) = self.joining(id) else { return };
        let Step::Keeping { link } = joining.step else { return };
        let values = vec![("link".to_owned(), JobValue::Text(link.to_string()))];
        self.end_job(joining.job, values, result.err().map(|fault| told(&fault)));
    }

    pub(super) fn join_rolled_back(&mut self, id: u64) {
        let Some(joining) = self.joining(id) else { return };
        let fault = match joining.step {
            Step::Back(fault) => fault,
            _ => Fault::new(FaultName::RolledBack, "what was before is back"),
        };
        self.end_job(joining.job, Vec::new(), Some(fault));
    }

    pub(super) fn join_deadline(&self) -> Option<BootTime> {
        self.links.joining.as_ref().map(|joining| joining.until)
    }

    /// The link's facts have come, or patience is over.
    pub(super) fn tick_join(&mut self) {
        let now = self.system.boot();
        let waiting = self.links.joining.as_ref().and_then(|joining| match joining.step {
            Step::Waiting { link } => Some(link),
            _ => None,
        });
        if let Some(link) = waiting.filter(|link| self.link_is_usable(*link))
            && let Some(joining) = self.links.joining.take()
        {
            self.probe_join(joining, link, 0);
        }
        let Some(joining) = self.links.joining.take_if(|joining| joining.until <= now) else { return };
        match joining.step {
            Step::Joining | Step::Keeping { .. } => {
                let words = "NetworkManager did not answer in time; what was before comes back by itself";
                self.end_job(joining.job, Vec::new(), Some(Fault::new(FaultName::RolledBack, words)));
            }
            Step::Waiting { .. } | Step::Probing { .. } => {
                let words = "the network did not come up in time; what was before is back".to_owned();
                self.take_join_back(joining, words);
            }
            Step::Back(fault) => self.end_job(joining.job, Vec::new(), Some(fault)),
        }
    }
}

fn told(fault: &LinkFault) -> Fault {
    let name = match fault {
        LinkFault::NoManager => FaultName::NotReady,
        LinkFault::NoWifi => FaultName::DeviceAbsent,
        LinkFault::NotFound => FaultName::NotFound,
        LinkFault::WrongSecret => FaultName::WrongPassword,
        LinkFault::NoAddress | LinkFault::Timeout => FaultName::NoLink,
        LinkFault::NotAllowed => FaultName::NotAuthorized,
        LinkFault::Other(_) => FaultName::Failed,
    };
    Fault::new(name, fault.to_string())
}

/// A network's name for people: bytes that are no UTF-8 text as `\xNN`, control characters too.
fn readable(ssid: &[u8]) -> String {
    let mut text = String::new();
    for chunk in ssid.utf8_chunks() {
        for found in chunk.valid().chars() {
            match found.is_control() {
                true => text.extend(found.escape_default()),
                false => text.push(found),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::readable;

    /// Goal: any 32 bytes can be shown, and text stays text.
    #[test]
    fn names_of_networks_can_be_shown() {
        assert_eq!(readable("小店 Wi-Fi".as_bytes()), "小店 Wi-Fi");
        assert_eq!(readable(&[0xD0, 0xA1, 0xB5, b'x']), "С\\xb5x");
        assert_eq!(readable(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(readable(&[0xFF, 0x00]), "\\xff\\u{0}");
    }
}
