//! One interface on the bus together with its last known properties: finds what changed and tells that, once.
use super::desk::Desk;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::Connection;
use zbus::fdo::Properties;
use zbus::object_server::{Interface, SignalEmitter};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// An interface that was put on the bus.
pub(super) struct Published<I> {
    object: I,
    emitter: SignalEmitter<'static>,
    last: HashMap<String, OwnedValue>,
}

impl<I: Interface + Clone> Published<I> {
    /// Puts the interface on the bus; the ObjectManager announces it with all its properties.
    pub(super) async fn put(bus: &Connection, path: OwnedObjectPath, object: I) -> zbus::Result<Self> {
        let emitter = SignalEmitter::new(bus, path.clone().into_inner())?;
        let added = bus.object_server().at(path, object.clone()).await;
        let mut published = Self { object, emitter, last: HashMap::new() };
        match added.and(published.all().await) {
            Ok(all) => {
                published.last = all;
                Ok(published)
            }
            Err(error) => {
                // What could not be announced must not stay either; the first error is the one to tell.
                published.remove().await.ok();
                Err(error)
            }
        }
    }

    /// Tells in one `PropertiesChanged` what differs from the last time, with the new values; else nothing.
    pub(super) async fn refresh(&mut self) -> zbus::Result<()> {
        let all = self.all().await?;
        let differs = |(name, value): &(&String, &OwnedValue)| self.last.get(*name) != Some(*value);
        let changed: HashMap<&str, Value<'_>> = all
            .iter()
            .filter(differs)
            .map(|(name, value)| Ok((name.as_str(), Value::try_from(value)?)))
            .collect::<zbus::Result<_>>()?;
        if !changed.is_empty() {
            Properties::properties_changed(&self.emitter, I::name(), changed, Cow::Borrowed(&[])).await?;
        }
        self.last = all;
        Ok(())
    }

    /// Takes the interface, and with it the object, off the bus.
    pub(super) async fn remove(self) -> zbus::Result<()> {
        let path = self.emitter.path().to_owned();
        self.emitter.connection().object_server().remove::<I, _>(path).await.map(drop)
    }

    /// For the interface's own signals.
    pub(super) const fn emitter(&self) -> &SignalEmitter<'static> {
        &self.emitter
    }

    async fn all(&self) -> zbus::Result<HashMap<String, OwnedValue>> {
        let bus = self.emitter.connection();
        Ok(self.object.get_all(bus.object_server(), bus, None, &self.emitter).await?)
    }
}

/// An object with a view of its own: a transaction, job, print job or device.
pub(super) struct Viewed<I, V> {
    view: watch::Sender<Arc<V>>,
    published: Published<I>,
}

impl<I: Interface + Clone, V> Viewed<I, V> {
    /// Puts it on the bus with its first view.
    pub(super) async fn put(
        bus: &Connection,
        path: OwnedObjectPath,
        view: Arc<V>,
        make: impl FnOnce(watch::Receiver<Arc<V>>) -> I,
    ) -> zbus::Result<Self> {
        let (view, receiver) = watch::channel(view);
        Ok(Self { published: Published::put(bus, path, make(receiver)).await?, view })
    }

    /// Shows another view.
    pub(super) async fn show(&mut self, view: Arc<V>) -> zbus::Result<()> {
        self.view.send_replace(view);
        self.published.refresh().await
    }

    /// What is shown.
    pub(super) fn view(&self) -> Arc<V> {
        Arc::clone(&self.view.borrow())
    }

    /// For signals.
    pub(super) const fn emitter(&self) -> &SignalEmitter<'static> {
        self.published.emitter()
    }

    /// Takes it off the bus.
    pub(super) async fn remove(self) -> zbus::Result<()> {
        self.published.remove().await
    }
}

/// What makes an object for a view: the desk goes in, the receiver comes from [`Viewed::put`].
pub(super) type Make<I, V> = fn(Desk, watch::Receiver<Arc<V>>) -> I;
