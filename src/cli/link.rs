//! `posctl link`: the links, wireless networks, and the way to the acquirer over each link.
use super::args::shop::Link;
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, table};
use super::{jobs, secret, status, way, words};
use crate::api::proxy::{NetworkProxy, Options};
use crate::domain::text::link as texts;
use serde_json::{Map, Value as Json, json};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// A scan, or a join with its test of the acquirer.
const JOB_MAX: Duration = Duration::from_secs(300);

/// `posctl link …`
pub(crate) async fn link(screen: &Screen, address: Option<&str>, verb: &Link) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    match verb {
        Link::List => list(screen, &terminal).await,
        Link::Scan => scan(screen, &terminal).await,
        Link::Connect { ssid, hex, hidden, open, secret } => {
            let ssid = if *hex { bytes(ssid)? } else { ssid.as_bytes().to_vec() };
            let password = match open {
                true => secret::Secret::default(),
                false => secret::password(screen, secret, words::WIFI_PASSWORD).await?,
            };
            let sealed = secret::sealed(&password)?;
            let options: Options<'_> = hidden.then(|| ("hidden", true.into())).into_iter().collect();
            let job = network(&terminal).await?.connect(&ssid, sealed.as_fd().into(), options).await?;
            jobs::follow(screen, &terminal, job).await
        }
        Link::Test { link: Some(name) } => {
            let job = terminal.host().await?.test(way::options(Some(name))).await?;
            way::test(screen, &terminal, job).await
        }
        Link::Test { link: None } => test_all(screen, &terminal).await,
    }
}

async fn network(terminal: &Terminal) -> Result<NetworkProxy<'static>, Failure> {
    let network = NetworkProxy::builder(&terminal.bus).cache_properties(zbus::proxy::CacheProperties::No);
    Ok(network.build().await?)
}

/// All links in the terminal's order of preference, each with its name.
async fn links(terminal: &Terminal) -> Result<Vec<(String, Map<String, Json>)>, Failure> {
    let objects = terminal.objects().await?;
    let order = network(terminal).await?.links().await?;
    let mut listed = status::listed(&objects, "Link");
    listed.sort_by_key(|link| order.iter().position(|path| path.as_str() == link.text("path")));
    let named =
        |link: Map<String, Json>| (link.text("path").rsplit('/').next().unwrap_or_default().to_owned(), link);
    Ok(listed.into_iter().map(named).collect())
}

async fn list(screen: &Screen, terminal: &Terminal) -> Result<Exit, Failure> {
    let active = network(terminal).await?.active_link().await?;
    let all = links(terminal).await?;
    let row = |(name, link): &(String, Map<String, Json>)| {
        let used = if link.text("path") == active.as_str() { "*" } else { "" };
        let verified = match (link.yes("verified"), link.text("state")) {
            (true, _) => screen.tone(Tone::Good, screen.word(words::ANSWERS)),
            (false, "connected") => screen.tone(Tone::Bad, screen.word(words::NOT_PROVEN)),
            (false, _) => String::new(),
        };
        let signal = link.get("signal-quality").and_then(Json::as_u64).unwrap_or_default();
        let reason =
            texts::reason(link.text("reason")).map(|text| screen.bilingual(&text)).unwrap_or_default();
        vec![
            format!("{name}{used}"),
            link.text("interface").to_owned(),
            screen.bilingual(&texts::state(link.text("state"))),
            format!("{signal} %"),
            [link.text("operator"), link.text("technology")].join(" ").trim().to_owned(),
            link.text("address").to_owned(),
            verified,
            reason,
        ]
    };
    let text = if all.is_empty() {
        screen.word(words::NO_LINKS).to_owned()
    } else {
        let head = [
            words::LINK,
            words::INTERFACE,
            words::STATE,
            words::SIGNAL,
            words::OPERATOR_NAME,
            words::ADDRESS,
            words::ACQUIRER,
            words::ATTENTION,
        ];
        table(&head.map(|label| screen.word(label)), &all.iter().map(row).collect::<Vec<_>>())
    };
    let links: Vec<Json> = all.into_iter().map(|(_, link)| link.into()).collect();
    screen.answer(json!({ "links": links, "active-link": active.as_str() }), &text);
    Ok(Exit::Done)
}

async fn scan(screen: &Screen, terminal: &Terminal) -> Result<Exit, Failure> {
    let job = network(terminal).await?.scan(Options::new()).await?;
    let properties = jobs::to_end(screen, terminal, &job, JOB_MAX).await?;
    let result = jobs::result(&job, &properties)?;
    let rows = result.get("rows").and_then(Json::as_array).cloned().unwrap_or_default();
    let row = |network: &Json| {
        let fields = network.as_object().cloned().unwrap_or_default();
        let secured = if fields.yes("secured") { words::SECURED } else { words::OPEN_NETWORK };
        let strength = fields.get("strength").and_then(Json::as_u64).unwrap_or_default();
        vec![fields.text("ssid-text").to_owned(), format!("{strength} %"), screen.word(secured).to_owned()]
    };
    let text = if rows.is_empty() {
        screen.word(words::NONE).to_owned()
    } else {
        let head = [words::NETWORK, words::SIGNAL, words::PROTECTION];
        table(&head.map(|label| screen.word(label)), &rows.iter().map(row).collect::<Vec<_>>())
    };
    screen.answer(jobs::document(&job, &properties, &result), &text);
    Ok(Exit::Done)
}

/// The way over every connected link; the exit code is that of the worst.
async fn test_all(screen: &Screen, terminal: &Terminal) -> Result<Exit, Failure> {
    let (mut told, mut text, mut exit) = (Vec::new(), String::new(), Exit::Done);
    for (name, link) in links(terminal).await? {
        if link.text("state") != "connected" {
            continue;
        }
        let job = terminal.host().await?.test(way::options(Some(&name))).await?;
        let properties = jobs::to_end(screen, terminal, &job, JOB_MAX).await?;
        let result = properties.get("result").and_then(Json::as_object).cloned().unwrap_or_default();
        text.push_str(&format!("{name}\n{}", super::screen::pairs(&way::stages(screen, &result))));
        if let Err(failure) = jobs::result(&job, &properties) {
            exit = failure.exit;
        }
        told.push(json!({ "link": name, "state": properties.text("state"), "result": result }));
    }
    if told.is_empty() {
        return Err(Failure::named("NoLink", "no link is connected; see posctl link list"));
    }
    screen.answer(json!({ "links": told }), &text);
    Ok(exit)
}

/// Hexadecimal digits as bytes.
fn bytes(text: &str) -> Result<Vec<u8>, Failure> {
    let wrong = || Failure::usage("--hex wants an even number of hexadecimal digits, such as d0a1b5");
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return Err(wrong());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    /// Goal: names that are no text can be typed, and what is no hexadecimal is refused.
    #[test]
    fn names_of_networks_as_digits() {
        assert_eq!(bytes("d0a1B5").unwrap(), [0xD0, 0xA1, 0xB5]);
        for wrong in ["", "d0a", "xy", "d0 a1"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
