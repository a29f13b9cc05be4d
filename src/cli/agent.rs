//! posctl as the agent of the transaction it started: `org.posd.Pos1.Agent`, exported on posctl's own connection.
//!
//! Prompts are not shown from here: each arrives as the signal `Prompt` too, and that works without an agent as well.
use super::args::AgentOptions;
use super::client::{Fields as _, Terminal};
use super::failure::Failure;
use super::screen::{Screen, money};
use super::secret::{self, Secret};
use super::tty::{Question, Typed};
use super::words::{self, Lang};
use crate::api::proxy::{Dict, Options};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, Value};

/// Where the agent stands on our connection.
const AGENT_PATH: &str = "/org/posd/posctl/agent";
/// How long a person is asked when the daemon names no time.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// The answers to the daemon's questions.
#[derive(Debug)]
struct Agent {
    /// The daemon. Nobody else on the bus gets an answer.
    daemon: OwnedUniqueName,
    lang: Lang,
    interactive: bool,
    /// Say yes without asking.
    yes: bool,
    /// A PIN handed over on the command line.
    pin: Option<Secret>,
    /// It was given once. Giving it again after "wrong PIN" could block the card.
    pin_given: AtomicBool,
    /// The daemon does not need the answer any more.
    withdrawn: Notify,
}

/// What an agent may answer instead.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.posd.Pos1.Error")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    /// The person cancelled, or nobody can be asked.
    Cancelled(String),
    /// The terminal or memory file does not work.
    Failed(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.message)
    }
}

/// Exports the agent and registers it. `None` if posctl is to leave the transaction to others.
pub(crate) async fn register(
    terminal: &Terminal,
    screen: &Screen,
    options: &AgentOptions,
) -> Result<Option<Registration>, Failure> {
    if options.no_agent {
        return Ok(None);
    }
    let daemon = terminal.owner().await?.ok_or_else(|| Failure::no_daemon("it has just stopped"))?;
    let agent = Agent {
        daemon,
        lang: screen.lang,
        interactive: screen.interactive,
        yes: options.yes,
        pin: secret::given_pin(options)?,
        pin_given: AtomicBool::new(false),
        withdrawn: Notify::new(),
    };
    let capabilities = agent.capabilities();
    terminal.bus.object_server().at(AGENT_PATH, agent).await?;
    let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
    let known = Options::from([("capabilities", Value::from(capabilities))]);
    terminal.manager().await?.register_agent(&path, known).await?;
    Ok(Some(Registration { terminal: terminal.clone() }))
}

/// A registered agent.
#[derive(Debug)]
pub(crate) struct Registration {
    terminal: Terminal,
}

impl Registration {
    /// Takes the agent back. The daemon would notice by itself when the connection closes, so errors do not matter.
    pub(crate) async fn end(self) {
        let path = ObjectPath::from_static_str_unchecked(AGENT_PATH);
        if let Ok(manager) = self.terminal.manager().await {
            manager.unregister_agent(&path, Options::new()).await.ok();
        }
    }
}

impl Agent {
    /// The methods the daemon may call: what nobody can answer is not offered.
    fn capabilities(&self) -> Vec<&'static str> {
        let mut methods = vec!["ShowPrompt"];
        if self.interactive || self.pin.is_some() {
            methods.push("RequestPin");
        }
        if self.interactive || self.yes {
            methods.extend(["SelectApplication", "ConfirmCard", "ConfirmSignature", "ConfirmDuplicate"]);
        }
        if self.interactive {
            methods.push("Authorize");
        }
        methods
    }

    /// Refuses everybody but the daemon: a PIN must not go to whoever asks.
    fn only_for_the_daemon(&self, header: &Header<'_>) -> Result<(), Refusal> {
        if header.sender().is_some_and(|sender| *sender == self.daemon) {
            Ok(())
        } else {
            Err(Refusal::Failed("this agent answers posd only".to_owned()))
        }
    }

    /// The PIN: the one handed over, once, or what the person types. A second question, after a wrong PIN or for
    /// another method of the card, is the person's.
    async fn pin(&self, options: &Dict) -> Result<Secret, Refusal> {
        let handed_over = self.pin.as_ref().filter(|_| !self.pin_given.swap(true, Ordering::Relaxed));
        if let Some(pin) = handed_over {
            return Ok(pin.clone());
        }
        if self.pin.is_some() && !self.interactive {
            return Err(Refusal::Cancelled("the PIN of the command line was used already".to_owned()));
        }
        self.ask(&self.pin_question(options), true, options).await
    }

    /// What the person is asked, and how many tries the card has left where it said so.
    fn pin_question(&self, options: &Dict) -> String {
        let bypass = options.get("bypass-allowed").and_then(|value| bool::try_from(value).ok());
        let ask = if bypass == Some(true) { words::ASK_PIN } else { words::ASK_PIN_STRICT };
        let tries = match options.get("tries-left").and_then(|value| u8::try_from(value).ok()) {
            None => String::new(),
            Some(1) => self.lang.of(words::LAST_TRY).to_owned(),
            Some(tries) => format!("{}{tries}\n", self.lang.of(words::TRIES_LEFT)),
        };
        format!("{tries}{}", self.lang.of(ask))
    }

    /// Asks at the terminal, until answered, withdrawn, or out of time.
    async fn ask(&self, prompt: &str, silent: bool, options: &Dict) -> Result<Secret, Refusal> {
        if !self.interactive {
            return Err(Refusal::Cancelled("nobody can be asked".to_owned()));
        }
        let mut question = if silent { Question::silent(prompt)? } else { Question::open(prompt)? };
        tokio::select! {
            typed = question.answer() => match typed {
                Typed::Line(line) => Ok(line),
                Typed::Ended => Err(Refusal::Cancelled("cancelled at the terminal".to_owned())),
            },
            () = self.withdrawn.notified() => Err(Refusal::Cancelled("withdrawn".to_owned())),
            () = tokio::time::sleep(time_left(options)) => Err(Refusal::Cancelled("nobody answered".to_owned())),
        }
    }

    /// Asks until the answer is a yes or a no.
    async fn confirm(&self, ask: &str, options: &Dict) -> Result<bool, Refusal> {
        if self.yes {
            return Ok(true);
        }
        loop {
            let line = self.ask(ask, false, options).await?;
            match line.first().map(u8::to_ascii_lowercase) {
                Some(b'y') => return Ok(true),
                Some(b'n') => return Ok(false),
                _ => {}
            }
        }
    }
}

/// `remaining-ms` of the options, bounded.
fn time_left(options: &Dict) -> Duration {
    let named = options.get("remaining-ms").and_then(|value| u32::try_from(value).ok());
    named.map_or(ANSWER_MAX, |ms| Duration::from_millis(ms.into()).min(ANSWER_MAX))
}

/// Which of the candidates is meant by what was typed: its number in the list, from 1.
fn chosen(line: &[u8], aids: &[String]) -> Option<String> {
    let number: usize = std::str::from_utf8(line).ok()?.trim().parse().ok()?;
    aids.get(number.checked_sub(1)?).cloned()
}

fn text_of(dict: &Dict, key: &str) -> String {
    dict.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
}

#[zbus::interface(name = "org.posd.Pos1.Agent")]
impl Agent {
    async fn select_application(
        &self,
        _transaction: OwnedObjectPath,
        candidates: Vec<Dict>,
        options: Dict,
    ) -> Result<String, Refusal> {
        let aids: Vec<String> = candidates.iter().map(|candidate| text_of(candidate, "aid")).collect();
        if self.yes {
            let first = aids.first().cloned();
            return first.ok_or_else(|| Refusal::Cancelled("no application was offered".to_owned()));
        }
        let mut prompt = String::new();
        for (number, candidate) in (1..).zip(&candidates) {
            prompt.push_str(&format!("{number:3}  {}\n", text_of(candidate, "label")));
        }
        prompt.push_str(&format!("{}{}] ", self.lang.of(words::ASK_APPLICATION), aids.len()));
        loop {
            let line = self.ask(&prompt, false, &options).await?;
            if let Some(aid) = chosen(&line, &aids) {
                return Ok(aid);
            }
        }
    }

    async fn confirm_card(&self, _transaction: OwnedObjectPath, options: Dict) -> Result<bool, Refusal> {
        self.confirm(self.lang.of(words::ASK_CARD), &options).await
    }

    async fn request_pin(
        &self,
        _transaction: OwnedObjectPath,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedFd, Refusal> {
        self.only_for_the_daemon(&header)?;
        Ok(OwnedFd::from(secret::sealed(&self.pin(&options).await?)?))
    }

    async fn confirm_signature(&self, _transaction: OwnedObjectPath, options: Dict) -> Result<bool, Refusal> {
        self.confirm(self.lang.of(words::ASK_SIGNATURE), &options).await
    }

    async fn confirm_duplicate(
        &self,
        _transaction: OwnedObjectPath,
        earlier: OwnedObjectPath,
        options: Dict,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<bool, Refusal> {
        // Without it the question can be answered too, only less surely.
        let facts =
            Terminal { bus: bus.clone() }.properties(&earlier, "Transaction").await.unwrap_or_default();
        let earlier = format!(
            "{}: {:06}  {}  {}\n",
            self.lang.of(words::EARLIER),
            facts.number("trace"),
            money(facts.minor("amount"), facts.text("currency")),
            facts.text("masked-pan"),
        );
        self.confirm(&format!("{earlier}{}", self.lang.of(words::ASK_DUPLICATE)), &options).await
    }

    async fn authorize(
        &self,
        _transaction: OwnedObjectPath,
        action: String,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, OwnedFd), Refusal> {
        self.only_for_the_daemon(&header)?;
        let action = words::terms::term(&action).map_or(action.as_str(), |pair| self.lang.of(pair));
        let (needs, ask) = (self.lang.of(words::NEEDS_SUPERVISOR), self.lang.of(words::ASK_SUPERVISOR));
        let supervisor = self.ask(&format!("{needs}: {action}\n{ask}"), false, &options).await?;
        let password = self.ask(self.lang.of(words::ASK_PASSWORD), true, &options).await?;
        let supervisor = String::from_utf8_lossy(&supervisor).trim().to_owned();
        Ok((supervisor, OwnedFd::from(secret::sealed(&password)?)))
    }

    #[allow(clippy::unused_async, reason = "the interface is asynchronous")]
    async fn show_prompt(
        &self,
        _transaction: OwnedObjectPath,
        _code: String,
        _text: HashMap<String, String>,
        _options: Dict,
    ) {
    }

    async fn cancel(&self, _transaction: OwnedObjectPath, _why: String, _options: Dict) {
        self.withdrawn.notify_waiters();
    }

    async fn release(&self, _options: Dict) {
        self.withdrawn.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(pin: Option<&[u8]>, yes: bool) -> Agent {
        Agent {
            daemon: OwnedUniqueName::try_from(":1.1").unwrap(),
            lang: Lang::En,
            interactive: false,
            yes,
            pin: pin.map(|pin| Secret::new(pin.to_vec())),
            pin_given: AtomicBool::new(false),
            withdrawn: Notify::new(),
        }
    }

    /// Where nobody can answer, the daemon must know it beforehand instead of waiting for a refusal.
    #[test]
    fn only_what_can_be_answered_is_offered() {
        assert_eq!(agent(None, false).capabilities(), ["ShowPrompt"]);
        assert_eq!(agent(Some(b"1234"), false).capabilities(), ["ShowPrompt", "RequestPin"]);
        assert!(agent(None, true).capabilities().contains(&"ConfirmSignature"));
    }

    /// A PIN from a file is offered once: a second try with the same wrong PIN could block the card.
    #[tokio::test]
    async fn a_given_pin_is_given_once() {
        let agent = agent(Some(b"1234"), false);
        assert!(agent.pin(&Dict::new()).await.is_ok());
        let again = agent.pin(&Dict::new()).await;
        assert!(matches!(again, Err(Refusal::Cancelled(_))));
    }

    /// How many tries are left stands before the question, in both languages; the last one is a warning.
    #[test]
    fn the_question_for_a_pin_tells_the_tries() {
        let tries = |left: u8| Dict::from([("tries-left".to_owned(), Value::from(left).try_into().unwrap())]);
        let mut agent = agent(None, false);
        assert_eq!(agent.pin_question(&Dict::new()), "PIN (Ctrl-D cancels): ");
        assert_eq!(agent.pin_question(&tries(2)), "PIN tries left: 2\nPIN (Ctrl-D cancels): ");
        assert!(agent.pin_question(&tries(1)).starts_with("Last try"));
        agent.lang = Lang::Zh;
        assert!(agent.pin_question(&tries(2)).starts_with("密码剩余次数: 2\n"));
        assert!(agent.pin_question(&tries(1)).starts_with("最后一次机会"));
    }

    #[test]
    fn applications_are_chosen_by_number() {
        let aids = vec!["A1".to_owned(), "A2".to_owned()];
        assert_eq!(chosen(b"2", &aids).as_deref(), Some("A2"));
        assert_eq!(chosen(b" 1 ", &aids).as_deref(), Some("A1"));
        assert_eq!(chosen(b"0", &aids), None);
        assert_eq!(chosen(b"3", &aids), None);
        assert_eq!(chosen(b"x", &aids), None);
    }
}
