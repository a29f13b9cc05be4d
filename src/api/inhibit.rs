//! `Maintenance.Inhibit`: the pipe whose open end holds new transactions back.
use crate::domain::fault::{Fault, FaultName};
use crate::engine::handle::Ticket;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe::Receiver;
use zbus::Connection;
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::proxy::CacheProperties;

/// The caller's end of a new pipe. The ticket is let go when its last copy is closed, when something is written to it,
/// or when the caller leaves the bus.
///
/// # Errors
/// No pipe, or the bus cannot be asked.
pub(super) async fn hold(bus: &Connection, peer: String, ticket: Ticket) -> Result<OwnedFd, Fault> {
    let failed = |what: String| Fault::new(FaultName::Failed, what);
    let (reader, writer) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(format!("no pipe: {error}")))?;
    let reader = Receiver::from_owned_fd(reader).map_err(|error| failed(format!("no pipe: {error}")))?;
    let asked = |error: zbus::Error| failed(format!("the bus cannot be asked: {error}"));
    let names = DBusProxy::builder(bus).cache_properties(CacheProperties::No).build().await.map_err(asked)?;
    let mut gone = names.receive_name_owner_changed_with_args(&[(0, &peer), (2, "")]).await.map_err(asked)?;
    let name = BusName::try_from(peer).map_err(|error| failed(error.to_string()))?;
    // One that left before the watch began is not heard of.
    if !names.name_has_owner(name).await.map_err(|error| failed(error.to_string()))? {
        return Err(failed("the caller has left the bus".to_owned()));
    }
    tokio::spawn(async move {
        tokio::select! {
            // Closed, or written to: nobody has anything to say here.
            _ = reader.readable() => {}
            _ = gone.next() => {}
        }
        drop(ticket);
    });
    Ok(writer)
}
