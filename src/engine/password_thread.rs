//! The thread that hashes passwords: 50 ms of work on purpose, one after the other, so that they never take the
//! engine's time nor the memory of more than one.
use crate::domain::operators;
use crate::domain::secret::Password;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::mpsc;

/// Passwords that may wait. A terminal has one cashier; more are programs.
const QUEUE: usize = 4;

/// What is to be found out or made.
pub(super) enum Work {
    /// Is this the password behind that hash?
    Verify { password: Password, phc: String },
    /// The same of the old one; if it is, the hash of the new one.
    Change { old: Password, phc: String, new: Password, salt: [u8; 16] },
    /// The hash of a new one.
    Make { new: Password, salt: [u8; 16] },
}

/// What came out.
pub(super) struct Checked {
    /// The given password is right; `None`: nothing was to be verified, or the stored hash cannot be used.
    pub(super) right: Option<bool>,
    /// The hash of the new one, where one was wanted and could be made.
    pub(super) new_phc: Option<String>,
}

/// The engine's end. `T` is the engine's own note of who asked.
pub(super) struct PasswordThread<T> {
    tasks: SyncSender<(T, Work)>,
    pub(super) answers: mpsc::Receiver<(T, Checked)>,
}

impl<T: Send + 'static> PasswordThread<T> {
    /// Starts the thread. It ends with the engine.
    ///
    /// # Errors
    /// The operating system gives no thread.
    #[allow(clippy::disallowed_methods, reason = "the engine owns this thread")]
    pub(super) fn start() -> std::io::Result<Self> {
        let (tasks, wanted) = sync_channel(QUEUE);
        let (answered, answers) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("posd-password".to_owned())
            .spawn(move || run(&wanted, &answered))?;
        Ok(Self { tasks, answers })
    }

    /// Hands work over; gives the note back when too much waits.
    pub(super) fn put(&self, note: T, work: Work) -> Result<(), T> {
        self.tasks.try_send((note, work)).map_err(|error| match error {
            TrySendError::Full((note, _)) | TrySendError::Disconnected((note, _)) => note,
        })
    }
}

fn run<T>(tasks: &Receiver<(T, Work)>, answers: &mpsc::Sender<(T, Checked)>) {
    while let Ok((note, work)) = tasks.recv() {
        // The engine ends before its threads: then nobody waits.
        if answers.blocking_send((note, check(work))).is_err() {
            return;
        }
    }
}

fn check(work: Work) -> Checked {
    let make = |new: &Password, salt| match operators::hash(new, salt) {
        Ok(phc) => Some(phc),
        Err(error) => {
            tracing::error!(%error, "no hash of the new password");
            None
        }
    };
    match work {
        Work::Verify { password, phc } => {
            Checked { right: operators::verify(&password, &phc).ok(), new_phc: None }
        }
        Work::Change { old, phc, new, salt } => {
            let right = operators::verify(&old, &phc).ok();
            Checked { right, new_phc: (right == Some(true)).then(|| make(&new, salt)).flatten() }
        }
        Work::Make { new, salt } => Checked { right: None, new_phc: make(&new, salt) },
    }
}
