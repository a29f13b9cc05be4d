//! The publisher: takes the engine's notices one by one and puts them on the bus in their order. It alone
//! adds and removes objects and sends signals, so what a client hears is a story without gaps: properties
//! first, then the signal that speaks of them.
use super::agents::{AgentsView, time_options};
use super::config::ConfigObject;
use super::desk::Desk;
use super::devices::{DrawerObject, PrinterObject, ReaderObject};
use super::host::HostObject;
use super::job::JobObject;
use super::ledger::LedgerObject;
use super::maintenance::MaintenanceObject;
use super::manager::ManagerObject;
use super::network::{LinkObject, NetworkObject};
use super::operators::OperatorsObject;
use super::print_job::PrintJobObject;
use super::proxy::ROOT_PATH;
use super::published::{Make, Published, Viewed};
use super::queue::QueueObject;
use super::transaction::TransactionObject;
use super::{path, row};
use crate::domain::ident::TxnId;
use crate::domain::link::LinkName;
use crate::domain::text;
use crate::engine::handle::Notice;
use crate::engine::view::{
    DrawerView, JobView, LinkView, PrintJobView, PrinterView, ReaderView, Snapshot, TxnView,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use zbus::Connection;
use zbus::object_server::Interface;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// The one task that writes signals.
pub(super) struct Publisher {
    bus: Connection,
    desk: Desk,
    snapshot: watch::Sender<Arc<Snapshot>>,
    agents: watch::Receiver<Arc<AgentsView>>,
    permissions: watch::Receiver<()>,
    manager: Published<ManagerObject>,
    operators: Published<OperatorsObject>,
    host: Published<HostObject>,
    queue: Published<QueueObject>,
    ledger: Published<LedgerObject>,
    readers: Vec<Viewed<ReaderObject, ReaderView>>,
    printer: Option<Viewed<PrinterObject, PrinterView>>,
    drawer: Option<Viewed<DrawerObject, DrawerView>>,
    transactions: BTreeMap<TxnId, Viewed<TransactionObject, TxnView>>,
    jobs: BTreeMap<u64, Viewed<JobObject, JobView>>,
    print_jobs: BTreeMap<String, Viewed<PrintJobObject, PrintJobView>>,
    network: Published<NetworkObject>,
    links: BTreeMap<LinkName, Viewed<LinkObject, LinkView>>,
}

impl Publisher {
    /// Puts the objects that are always there on the bus, with the engine's state as it is now.
    pub(super) async fn start(
        bus: Connection,
        desk: Desk,
        agents: watch::Receiver<Arc<AgentsView>>,
        permissions: watch::Receiver<()>,
    ) -> zbus::Result<Self> {
        let first = desk.engine.snapshot();
        let (snapshot, seen) = watch::channel(Arc::clone(&first));
        let root: OwnedObjectPath = ObjectPath::from_str_unchecked(ROOT_PATH).into();
        let (d, s) = (|| desk.clone(), || seen.clone());
        let manager = ManagerObject { desk: d(), snapshot: s(), agents: agents.clone() };
        let mut publisher = Self {
            manager: Published::put(&bus, root.clone(), manager).await?,
            operators: put(&bus, &root, OperatorsObject { desk: d(), snapshot: s() }).await?,
            host: put(&bus, &root, HostObject { desk: d(), snapshot: s() }).await?,
            queue: put(&bus, &root, QueueObject { desk: d(), snapshot: s() }).await?,
            ledger: put(
                &bus,
                &root,
                LedgerObject { desk: d(), snapshot: s(), exporting: Arc::new(Semaphore::new(1)) },
            )
            .await?,
            network: put(&bus, &root, NetworkObject { desk: d(), snapshot: s() }).await?,
            links: BTreeMap::new(),
            readers: Vec::new(),
            printer: None,
            drawer: None,
            transactions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            print_jobs: BTreeMap::new(),
            bus,
            desk,
            snapshot,
            agents,
            permissions,
        };
        // They have no properties, so nothing of them is ever told.
        let maintenance = MaintenanceObject { desk: publisher.desk.clone() };
        publisher.bus.object_server().at(root.clone(), maintenance).await?;
        let config = ConfigObject { desk: publisher.desk.clone() };
        publisher.bus.object_server().at(root, config).await?;
        publisher.show_devices(&first).await?;
        publisher.show_links(&first, &first).await?;
        Ok(publisher)
    }

    /// Publishes until the engine closes its end.
    ///
    /// # Errors
    /// The connection to the bus is lost.
    pub(super) async fn run(mut self, mut notices: mpsc::Receiver<Notice>) -> zbus::Result<()> {
        loop {
            tokio::select! {
                notice = notices.recv() => match notice {
                    Some(notice) => survive(self.publish(notice).await)?,
                    None => return Ok(()),
                },
                Ok(()) = self.agents.changed() => survive(self.manager.refresh().await)?,
                Ok(()) = self.permissions.changed() => {
                    survive(ManagerObject::permissions_changed(self.manager.emitter()).await)?;
                }
            }
        }
    }

    async fn publish(&mut self, notice: Notice) -> zbus::Result<()> {
        match notice {
            Notice::Snapshot(snapshot) => self.show_snapshot(snapshot).await,
            Notice::Barrier(passed) => {
                // Who waited may have gone.
                passed.send(()).ok();
                Ok(())
            }
            Notice::Txn(view) => {
                let (id, path) = (view.id.clone(), path::transaction(&view.id));
                let make: Make<_, _> = |desk, view| TransactionObject { desk, view };
                show(&self.bus, &self.desk, self.transactions.entry(id), path, view, make).await
            }
            Notice::PrintJob(view) => {
                let (id, path) = (view.id.clone(), path::print_job(&view.id));
                let make: Make<_, _> = |desk, view| PrintJobObject { desk, view };
                show(&self.bus, &self.desk, self.print_jobs.entry(id), path, view, make).await
            }
            Notice::Job(view) => {
                let path = path::job(view.number);
                let make: Make<_, _> = |desk, view| JobObject { desk, view };
                show(&self.bus, &self.desk, self.jobs.entry(view.number), path, view, make).await
            }
            Notice::TxnGone(id) => gone(self.transactions.remove(&id)).await,
            Notice::PrintJobGone(id) => gone(self.print_jobs.remove(&id)).await,
            Notice::JobGone(number) => gone(self.jobs.remove(&number)).await,
            signal => self.signal(signal).await,
        }
    }

    /// The notices that are signals. Those of objects that are not there are of no use to anybody.
    async fn signal(&self, notice: Notice) -> zbus::Result<()> {
        match notice {
            Notice::StateChanged { id, old, new, reason, at } => {
                let Some(txn) = self.transactions.get(&id) else { return Ok(()) };
                let (old, new) = (old.word(), new.word());
                TransactionObject::entered_state(txn.emitter(), old, new, &reason, at.0).await
            }
            Notice::Prompt { id, code, deadline, remaining_ms } => {
                let Some(txn) = self.transactions.get(&id) else { return Ok(()) };
                let text = row::bilingual(&text::prompt(code));
                let details = time_options(deadline, remaining_ms);
                TransactionObject::prompt(txn.emitter(), code.word(), text, details).await
            }
            Notice::Finished { id, outcome } => {
                let Some(txn) = self.transactions.get(&id) else { return Ok(()) };
                TransactionObject::finished(txn.emitter(), outcome.word(), row::result(&txn.view())).await
            }
            Notice::JobFinished(number) => {
                let Some(job) = self.jobs.get(&number) else { return Ok(()) };
                let view = job.view();
                JobObject::finished(job.emitter(), view.state, row::job_result(&view)).await
            }
            Notice::CardInserted(reader) => {
                let Some(reader) = self.reader(reader) else { return Ok(()) };
                ReaderObject::card_inserted(reader.emitter()).await
            }
            Notice::CardRemoved { reader, early } => {
                let Some(reader) = self.reader(reader) else { return Ok(()) };
                ReaderObject::card_removed(reader.emitter(), early).await
            }
            // Published above; listed so that a new notice does not compile before somebody decides.
            Notice::Snapshot(_)
            | Notice::Txn(_)
            | Notice::TxnGone(_)
            | Notice::PrintJob(_)
            | Notice::PrintJobGone(_)
            | Notice::Job(_)
            | Notice::JobGone(_)
            | Notice::Barrier(_) => Ok(()),
        }
    }

    fn reader(&self, number: u32) -> Option<&Viewed<ReaderObject, ReaderView>> {
        self.readers.get(usize::try_from(number).ok()?)
    }

    async fn show_snapshot(&mut self, snapshot: Arc<Snapshot>) -> zbus::Result<()> {
        let old = self.snapshot.send_replace(Arc::clone(&snapshot));
        if old.terminal != snapshot.terminal {
            self.manager.refresh().await?;
        }
        if old.operators != snapshot.operators {
            self.operators.refresh().await?;
        }
        if old.host != snapshot.host {
            self.host.refresh().await?;
        }
        if old.queue != snapshot.queue {
            self.queue.refresh().await?;
        }
        if old.ledger != snapshot.ledger {
            self.ledger.refresh().await?;
        }
        self.show_devices(&snapshot).await?;
        self.show_links(&old, &snapshot).await
    }

    /// Links come, change and go; the list follows their objects.
    async fn show_links(&mut self, old: &Snapshot, snapshot: &Snapshot) -> zbus::Result<()> {
        for view in &snapshot.links {
            let name = view.facts.name;
            match self.links.get_mut(&name) {
                Some(link) if *link.view() == *view => {}
                Some(link) => link.show(Arc::new(view.clone())).await?,
                None => {
                    let make = |view| LinkObject { view };
                    let put = Viewed::put(&self.bus, path::link(name), Arc::new(view.clone()), make);
                    self.links.insert(name, put.await?);
                }
            }
        }
        let here = |name: &LinkName| snapshot.links.iter().any(|view| view.facts.name == *name);
        let lost: Vec<LinkName> = self.links.keys().copied().filter(|name| !here(name)).collect();
        for name in lost {
            gone(self.links.remove(&name)).await?;
        }
        let names =
            |snapshot: &Snapshot| snapshot.links.iter().map(|view| view.facts.name).collect::<Vec<_>>();
        if old.network != snapshot.network || names(old) != names(snapshot) {
            self.network.refresh().await?;
        }
        Ok(())
    }

    /// Adds, refreshes and removes devices. A reader keeps its number as long as those before it stay.
    async fn show_devices(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        while self.readers.len() > snapshot.readers.len() {
            gone(self.readers.pop()).await?;
        }
        for (number, view) in snapshot.readers.iter().enumerate() {
            match self.readers.get_mut(number) {
                Some(reader) if *reader.view() == *view => {}
                Some(reader) => reader.show(Arc::new(view.clone())).await?,
                None => {
                    let desk = self.desk.clone();
                    let make = |view| ReaderObject { desk, view };
                    let path = path::reader(number);
                    self.readers.push(Viewed::put(&self.bus, path, Arc::new(view.clone()), make).await?);
                }
            }
        }
        self.show_printer(snapshot).await?;
        let drawer = snapshot.printer.as_ref().and_then(|printer| printer.drawer);
        match (&mut self.drawer, drawer) {
            (Some(shown), Some(view)) if *shown.view() == view => Ok(()),
            (Some(shown), Some(view)) => shown.show(Arc::new(view)).await,
            (None, Some(view)) => {
                let desk = self.desk.clone();
                let make = |view| DrawerObject { desk, view };
                self.drawer = Some(Viewed::put(&self.bus, path::printer(0), Arc::new(view), make).await?);
                Ok(())
            }
            (shown, None) => gone(shown.take()).await,
        }
    }

    async fn show_printer(&mut self, snapshot: &Snapshot) -> zbus::Result<()> {
        match (&mut self.printer, &snapshot.printer) {
            (Some(printer), Some(view)) if *printer.view() == *view => Ok(()),
            (Some(printer), Some(view)) => printer.show(Arc::new(view.clone())).await,
            (None, Some(view)) => {
                let desk = self.desk.clone();
                let make = |view| PrinterObject { desk, view };
                let view = Arc::new(view.clone());
                self.printer = Some(Viewed::put(&self.bus, path::printer(0), view, make).await?);
                Ok(())
            }
            (printer, None) => gone(printer.take()).await,
        }
    }
}

/// Only a broken connection ends the publisher. One message that cannot be written must not stop the shop.
fn survive(published: zbus::Result<()>) -> zbus::Result<()> {
    match published {
        Err(error @ zbus::Error::InputOutput(_)) => Err(error),
        Err(error) => {
            tracing::error!(%error, "a notice could not be put on the bus");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn put<I>(bus: &Connection, path: &OwnedObjectPath, object: I) -> zbus::Result<Published<I>>
where
    I: Interface + Clone,
{
    Published::put(bus, path.clone(), object).await
}

/// Shows a view on its object, which the first view makes.
async fn show<K: Ord, I: Interface + Clone, V>(
    bus: &Connection,
    desk: &Desk,
    entry: Entry<'_, K, Viewed<I, V>>,
    path: OwnedObjectPath,
    view: Arc<V>,
    make: Make<I, V>,
) -> zbus::Result<()> {
    match entry {
        Entry::Occupied(mut object) => object.get_mut().show(view).await,
        Entry::Vacant(place) => {
            let make = |view| make(desk.clone(), view);
            place.insert(Viewed::put(bus, path, view, make).await?);
            Ok(())
        }
    }
}

async fn gone<I: Interface + Clone, V>(object: Option<Viewed<I, V>>) -> zbus::Result<()> {
    match object {
        Some(object) => object.remove().await,
        None => Ok(()),
    }
}
