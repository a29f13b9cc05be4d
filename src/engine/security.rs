//! `Maintenance.Security`: what the engine knows of keys, passwords and the line, and what the machine says of modes
//! and sandbox. Files are looked at on a thread of its own.
use super::Engine;
use super::keys::shown;
use super::start::reply;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::guard::{Fact, Guard};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Engine {
    /// Answers with all guards in their order.
    #[allow(clippy::disallowed_methods, reason = "the engine owns this thread")]
    pub(super) fn security(&self, answer: oneshot::Sender<Result<Vec<Fact>, Fault>>) {
        let (ours, surveyor) = (self.security_facts(), Arc::clone(&self.health.checks.surveyor));
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let look = move || {
            let Ok(answer) = told.recv() else { return };
            let mut all: Vec<Fact> = ours;
            all.extend(surveyor.security());
            all.sort_by_key(|fact| fact.guard);
            reply(answer, Ok(all));
        };
        match std::thread::Builder::new().name("posd-look".to_owned()).spawn(look) {
            Ok(_) => drop(tell.send(answer)),
            Err(error) => {
                reply(answer, Err(Fault::new(FaultName::Failed, format!("no thread for the look: {error}"))));
            }
        }
    }

    /// What needs no look at files.
    pub(super) fn security_facts(&self) -> Vec<Fact> {
        let factory = self.operators.iter().filter(|row| row.factory).map(|row| row.id.to_string());
        let factory: Vec<String> = factory.collect();
        let settings = &self.settings;
        let master = self.key_store.master_check();
        let working = self.keys.iter().flat_map(|keys| keys.check_values());
        let working: Vec<String> = working.map(|(name, check)| format!("{name} {}", shown(check))).collect();
        let told = |yes: bool, good: &str, bad: &str| if yes { good.to_owned() } else { bad.to_owned() };
        vec![
            Fact::new(
                Guard::FactoryPasswords,
                factory.is_empty(),
                told(factory.is_empty(), "all changed", &format!("operators {}", factory.join(" "))),
            ),
            Fact::new(
                Guard::RequireChange,
                settings.require_change,
                format!("require-change = {}", settings.require_change),
            ),
            Fact::new(Guard::AccessControl, settings.polkit, format!("polkit = {}", settings.polkit)),
            Fact::new(
                Guard::MasterKey,
                master.is_some(),
                master.map_or_else(|| "none".to_owned(), |check| format!("check value {}", shown(check))),
            ),
            Fact::new(
                Guard::WorkingKeys,
                !working.is_empty(),
                told(!working.is_empty(), &working.join(", "), "none"),
            ),
            Fact::new(
                Guard::Clock,
                self.clock_trusted(),
                told(self.clock_trusted(), "not behind any record", "behind the newest record"),
            ),
            Fact::new(Guard::Tls, settings.tls, told(settings.tls, "tls:// everywhere", "plain TCP")),
            Fact::new(Guard::TlsPin, settings.tls_pins > 0, format!("{} keys pinned", settings.tls_pins)),
        ]
    }
}
