//! A box between terminal and bank that sees whole frames and may change, repeat or swallow them.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the bank.
    There,
    /// To the terminal.
    Back,
}

/// What goes on instead of a frame; frames stand here without their length.
type Meddle = Arc<Mutex<dyn FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send>>;

/// Puts the box in front of a bank, for any number of connections. It lives as long as the runtime.
pub(crate) async fn between(
    bank: SocketAddr,
    meddle: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let meddle: Meddle = Arc::new(Mutex::new(meddle));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((terminal, _)) = listener.accept().await {
            let Ok(bank) = TcpStream::connect(bank).await else { continue };
            let ((from_terminal, to_terminal), (from_bank, to_bank)) =
                (terminal.into_split(), bank.into_split());
            tokio::spawn(carry(Way::There, from_terminal, to_bank, Arc::clone(&meddle)));
            tokio::spawn(carry(Way::Back, from_bank, to_terminal, Arc::clone(&meddle)));
        }
    });
    own
}

/// One direction, until either end is gone.
async fn carry(way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, meddle: Meddle) {
    while let Ok(length) = from.read_u16().await {
        let mut frame = vec![0; usize::from(length)];
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        let frames = (meddle.lock().unwrap())(way, frame);
        for frame in frames {
            let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
            if to.write_all(&[&length, frame.as_slice()].concat()).await.is_err() {
                return;
            }
        }
    }
}
