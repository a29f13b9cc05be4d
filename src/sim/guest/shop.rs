//! A shop whose terminal is a guest: bank, printer and card are here, everything of the terminal is there. What it
//! has on its state disk outlives it.
use super::{GATEWAY, Guest, Plan, WriteLog, check_state_disk, make_state_disk, so_far};
use crate::sim::host::{Acquirer, Config as HostConfig};
use crate::sim::printer::Printer;
use crate::sim::shop::{Folder, Site, TMK};
use crate::sim::vscard::Reader;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A USB host and a USB device in one kernel. The gadget is made once; plugging is binding it.
const PLUG_PRINTER: &str = "
    gadget=/sys/kernel/config/usb_gadget/receipt
    if [ ! -d $gadget ]; then
        modprobe dummy_hcd
        modprobe usb_f_printer
        mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
        mkdir -p $gadget/strings/0x409 $gadget/configs/c.1 $gadget/functions/printer.0
        echo 0x04b8 >$gadget/idVendor
        echo 0x0e15 >$gadget/idProduct
        echo 0001 >$gadget/strings/0x409/serialnumber
        echo POSD >$gadget/strings/0x409/manufacturer
        echo Receipt >$gadget/strings/0x409/product
        echo 'MFG:POSD;MDL:Receipt;CLS:PRINTER;' >$gadget/functions/printer.0/pnp_string
        ln -s $gadget/functions/printer.0 $gadget/configs/c.1/
    fi
    echo dummy_udc.0 >$gadget/UDC
    udevadm wait --timeout=60 /dev/usb/lp0 /dev/g_printer0
    systemd-run --quiet --collect --unit=guest-printer socat -b 4096 /dev/g_printer0 TCP:$gateway,nodelay
";
const UNPLUG_PRINTER: &str = "
    echo >/sys/kernel/config/usb_gadget/receipt/UDC
    systemctl stop guest-printer || true
    udevadm wait --timeout=60 --removed /dev/usb/lp0
";

/// The state disk before it was ever written to, where writes are logged.
const BEFORE: &str = "state.before";
/// How long qemu may hold on to a device that was pulled.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

/// What a shop in a guest may choose.
pub struct Terms<'a> {
    /// The folder that `tests/tools/guest` names.
    pub made: &'a Path,
    /// Card parameters.
    pub emv: &'a Path,
    /// The printer is a USB device of the guest, see [`GuestShop::plug_printer`]; else it is reached over TCP.
    pub usb_printer: bool,
    /// Every write to the state disk is logged, see [`GuestShop::end_of_writes`].
    pub log_writes: bool,
    /// Services that are started with it, beside those that always are.
    pub services: &'a [&'a str],
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
    /// How often the reader was plugged in since the guest was switched on.
    plugs: u32,
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
        let writes = terms.log_writes.then(|| folder.join("writes"));
        if let Some(writes) = &writes {
            fs::copy(&state, folder.join(BEFORE))?;
            fs::File::create(writes)?;
        }
        let site = Site {
            bank: format!("{GATEWAY}:{}", acquirer.address().port()),
            printer: if terms.usb_printer {
                "auto".to_owned()
            } else {
                format!("tcp:{GATEWAY}:{}", printer.address().port())
            },
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
            writes,
            reader: reader.socket().to_path_buf(),
            files: vec![
                file("posd.toml", site.configuration().into()),
                file("emv.toml", fs::read(terms.emv)?),
                file("tmk", TMK.into()),
            ],
            services: terms.services.iter().map(|&name| name.to_owned()).collect(),
            log: terms.log.to_path_buf(),
        };
        fs::File::create(&plan.log)?;
        let guest = Some(Guest::switch_on(&plan)?);
        Ok(Self { guest, plan, plugs: 0, acquirer, printer, reader, _folder: folder })
    }

    /// The terminal.
    ///
    /// # Errors
    /// It could not be switched on again after a cut.
    pub fn guest(&mut self) -> Result<&mut Guest, Error> {
        self.guest.as_mut().ok_or_else(|| Error::other("the guest is off"))
    }

    /// Plugs the printer into the guest: a printer of the kernel's own making, with what it is sent going on to ours
    /// and back. It is `/dev/usb/lp0` when this returns.
    ///
    /// # Errors
    /// The guest has no such device.
    pub fn plug_printer(&mut self) -> Result<(), Error> {
        let port = self.printer.address().port();
        self.guest()?.sh(&format!("gateway={GATEWAY}:{port}\n{PLUG_PRINTER}")).map(drop)
    }

    /// Pulls its plug.
    ///
    /// # Errors
    /// It was not in.
    pub fn unplug_printer(&mut self) -> Result<(), Error> {
        self.guest()?.sh(UNPLUG_PRINTER).map(drop)
    }

    /// Plugs the reader in again.
    ///
    /// # Errors
    /// qemu refuses.
    pub fn plug_reader(&mut self) -> Result<(), Error> {
        // qemu 7.2 remembers the name of a line that it was started with: each plug has a line of its own.
        self.plugs = self.plugs.saturating_add(1);
        let (line, path) = (self.card_line(), self.plan.reader.display());
        let card = format!("chardev-add socket,id={line},path={path}");
        let slot = format!("device_add ccid-card-passthru,id=slot,chardev={line}");
        let guest = self.guest()?;
        guest.monitor(&card)?;
        guest.monitor("device_add usb-ccid,id=reader")?;
        guest.monitor(&slot).map(drop)
    }

    /// Pulls the reader's plug, with the card in it.
    ///
    /// # Errors
    /// It was not in.
    pub fn unplug_reader(&mut self) -> Result<(), Error> {
        let remove = format!("chardev-remove {}", self.card_line());
        let guest = self.guest()?;
        guest.monitor("device_del slot")?;
        guest.monitor("device_del reader")?;
        // qemu lets go of its end when no thread looks at the device any more, and tells nobody.
        let deadline = Instant::now() + LET_GO_WITHIN;
        loop {
            match guest.monitor(&remove) {
                Err(error) if error.to_string().contains("busy") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                done => return done.map(drop),
            }
        }
    }

    /// How many writes its state disk has had so far, to be asked from anywhere.
    ///
    /// # Errors
    /// They are not logged.
    pub fn writes_so_far(&self) -> Result<impl Fn() -> Result<u64, Error> + Send + use<>, Error> {
        let log = self.plan.writes.clone().ok_or(ErrorKind::Unsupported)?;
        Ok(move || so_far(&log))
    }

    /// Cuts the terminal's power for good: the state disk as it was at first, and all that was written to it since.
    ///
    /// # Errors
    /// They were not logged.
    pub fn end_of_writes(&mut self) -> Result<(PathBuf, WriteLog), Error> {
        let log = self.plan.writes.as_ref().ok_or(ErrorKind::Unsupported)?;
        if let Some(guest) = self.guest.take() {
            guest.cut()?;
        }
        Ok((self.plan.folder.join(BEFORE), WriteLog::open(log)?))
    }

    /// What qemu calls its line to the card.
    fn card_line(&self) -> String {
        if self.plugs == 0 { "card".to_owned() } else { format!("card{}", self.plugs) }
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
        self.plugs = 0;
        self.guest = Some(Guest::switch_on(&self.plan)?);
        Ok(said)
    }
}
