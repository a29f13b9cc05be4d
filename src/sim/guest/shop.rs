//! A shop whose terminal is a guest: bank, printer and card are here, everything of the terminal is there. What it
//! has on its state disk outlives it.
use super::{GATEWAY, Guest, Plan, check_state_disk, make_state_disk};
use crate::sim::host::{Acquirer, Config as HostConfig};
use crate::sim::printer::Printer;
use crate::sim::shop::{Folder, Site, TMK};
use crate::sim::vscard::Reader;
use std::fs;
use std::io::Error;
use std::path::Path;

/// What a shop in a guest may choose.
pub struct Terms<'a> {
    /// The folder that `tests/tools/guest` names.
    pub made: &'a Path,
    /// Card parameters.
    pub emv: &'a Path,
    /// More lines for section `[host]` of the configuration.
    pub host: &'a str,
    /// More sections of the configuration.
    pub sections: &'a str,
    /// Where the serial line is written to.
    pub log: &'a Path,
}

/// Everything that runs. Dropping it ends it, the guest first.
pub struct GuestShop {
    guest: Option<Guest>,
    plan: Plan,
    /// The bank.
    pub acquirer: Acquirer,
    /// The printer.
    pub printer: Printer,
    /// The card reader.
    pub reader: Reader,
    _folder: Folder,
}

impl GuestShop {
    /// Starts all parts, then the guest. It returns at once: the guest is still booting.
    ///
    /// # Errors
    /// A part cannot be started.
    pub fn open(terms: &Terms<'_>) -> Result<Self, Error> {
        let folder = Folder::make("posd-guest")?;
        let acquirer = Acquirer::start(HostConfig::test()?)?;
        let printer = Printer::on_loopback()?;
        let reader = Reader::listen(&folder.join("card"))?;
        let state = folder.join("state.img");
        make_state_disk(&state)?;
        let site = Site {
            bank: format!("{GATEWAY}:{}", acquirer.address().port()),
            printer: format!("tcp:{GATEWAY}:{}", printer.address().port()),
            tear_pause_s: 0,
            emv: Path::new("/etc/posd/emv.toml"),
            host: terms.host,
            sections: terms.sections,
        };
        let file = |name: &str, content: Vec<u8>| (format!("/etc/posd/{name}"), content);
        let plan = Plan {
            made: fs::canonicalize(terms.made)?,
            folder: folder.to_path_buf(),
            state,
            reader: reader.socket().to_path_buf(),
            files: vec![
                file("posd.toml", site.configuration().into()),
                file("emv.toml", fs::read(terms.emv)?),
                file("tmk", TMK.into()),
            ],
            log: terms.log.to_path_buf(),
        };
        fs::File::create(&plan.log)?;
        let guest = Some(Guest::switch_on(&plan)?);
        Ok(Self { guest, plan, acquirer, printer, reader, _folder: folder })
    }

    /// The terminal.
    ///
    /// # Errors
    /// It could not be switched on again after a cut.
    pub fn guest(&mut self) -> Result<&mut Guest, Error> {
        self.guest.as_mut().ok_or_else(|| Error::other("the guest is off"))
    }

    /// Cuts the terminal's power, has the state disk checked and switches it on again. It returns at once; what the
    /// check said.
    ///
    /// # Errors
    /// The state disk is damaged; the guest cannot be started.
    pub fn cut(&mut self) -> Result<String, Error> {
        if let Some(guest) = self.guest.take() {
            guest.cut()?;
        }
        let said = check_state_disk(&self.plan.state)?;
        self.guest = Some(Guest::switch_on(&self.plan)?);
        Ok(said)
    }
}
