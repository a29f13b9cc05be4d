//! A supervisor's leave for one act: a token from the command line, one got for a password, or one got after the
//! daemon has said that it needs it.
use super::args::{LeaveOptions, SecretSource};
use super::client::Terminal;
use super::failure::Failure;
use super::screen::Screen;
use super::secret::{password_in_line, sealed};
use super::tty::{self, Question};
use super::words;
use crate::api::proxy::Options;
use crate::domain::ident::OperatorId;
use zbus::zvariant::Value;

/// The token that the command line brings, or that its supervisor's password gets. `line` of the secret file, from 0,
/// has that password.
pub(crate) async fn given(
    terminal: &Terminal,
    screen: &Screen,
    options: &LeaveOptions,
    action: &str,
    line: usize,
) -> Result<Option<String>, Failure> {
    match (&options.authorization, &options.supervisor) {
        (Some(token), _) => Ok(Some(token.clone())),
        (None, Some(supervisor)) => {
            ask_daemon(terminal, screen, supervisor, &options.secret, action, line).await.map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// Does what needs a role: with the token that was given, else without, and once more when the daemon names an action
/// and a person can be asked.
pub(crate) async fn with_leave<T>(
    terminal: &Terminal,
    screen: &Screen,
    token: Option<String>,
    act: impl AsyncFn(Options<'static>) -> zbus::Result<T>,
) -> Result<T, Failure> {
    let with = |token: Option<String>| -> Options<'static> {
        token.map(|token| ("authorization", Value::from(token))).into_iter().collect()
    };
    let had_none = token.is_none();
    let refused = match act(with(token)).await.map_err(Failure::from) {
        Err(failure) if had_none && screen.interactive => failure,
        done => return done,
    };
    let Some(action) = refused.action().map(str::to_owned) else { return Err(refused) };
    screen.note(&format!("{}: {}", screen.word(words::NEEDS_SUPERVISOR), screen.term(&action)));
    let supervisor = tty::line(Question::open(screen.word(words::ASK_SUPERVISOR))?).await?;
    let supervisor = String::from_utf8_lossy(&supervisor).trim().to_owned();
    let source = SecretSource::default();
    let token = ask_daemon(terminal, screen, &supervisor, &source, &action, 0).await?;
    Ok(act(with(Some(token))).await?)
}

async fn ask_daemon(
    terminal: &Terminal,
    screen: &Screen,
    supervisor: &str,
    source: &SecretSource,
    action: &str,
    line: usize,
) -> Result<String, Failure> {
    let supervisor = OperatorId::new(supervisor).map_err(|error| Failure::usage(error.to_string()))?;
    let secret = sealed(&password_in_line(screen, source, words::ASK_PASSWORD, line).await?)?;
    let operators = terminal.operators().await?;
    Ok(operators.authorize(action, supervisor.as_str(), secret.into(), Options::new()).await?)
}

/// Asks before what cannot be taken back. Where nobody can be asked, `--yes` must have been said.
pub(crate) async fn certain(screen: &Screen, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !screen.interactive {
        return Err(Failure::usage(format!("{what}: this cannot be taken back; say --yes")));
    }
    let question = format!("{what}. {}", screen.word(words::ASK_CERTAIN));
    let line = tty::line(Question::open(&question)?).await?;
    if line.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'y')) {
        Ok(())
    } else {
        Err(Failure::new(super::failure::Exit::Failed, "Cancelled", "not confirmed; nothing was done"))
    }
}
