//! Whether the acquirer can be reached over a link: connection and handshake beside the line, which is not touched.
use tokio::sync::mpsc;

use super::dial::Dialler;
use super::endpoint::HostSettings;
use crate::ports::{HostEvent, LineClock, Via, WayTimes};

/// Probes that may wait: one a link, and one of a person.
const WAITING_MAX: usize = 8;

/// A probe that is wanted.
pub(super) struct Wanted {
    pub(super) id: u64,
    pub(super) endpoint: usize,
    pub(super) clock: LineClock,
    pub(super) via: Via,
}

/// Starts the task; it has a resolver and TLS sessions of its own and ends with its senders. One probe at a time.
pub(super) fn start(settings: HostSettings, events: mpsc::Sender<HostEvent>) -> mpsc::Sender<Wanted> {
    let (sender, mut wanted) = mpsc::channel::<Wanted>(WAITING_MAX);
    tokio::spawn(async move {
        let mut dialler: Option<Dialler> = None;
        while let Some(Wanted { id, endpoint, clock, via }) = wanted.recv().await {
            // A terminal without links never gets here, and has no second resolver.
            let dialler = dialler.get_or_insert_with(|| Dialler::new(settings.clone()));
            dialler.prepare();
            let mut times = WayTimes::default();
            let result = dialler.dial(endpoint, clock, Some(&via), &mut times).await;
            let result = match result {
                Ok(reached) => {
                    reached.stream.goodbye().await;
                    Ok(times)
                }
                Err(fault) => Err(fault),
            };
            if events.send(HostEvent::Probed { id, result }).await.is_err() {
                return;
            }
        }
    });
    sender
}
