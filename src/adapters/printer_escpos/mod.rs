//! The printer thread: takes documents, sends ESC/POS, and finds out what became of them.
//!
//! A job ends in one of the four ways of `PrintEnd`: nothing is sent to a printer that is not ready (`Held`), and
//! nothing counts as printed that the printer has not said to have printed (`Unconfirmed`). The thread never repeats a
//! job; that is the engine's decision. The connection lives for one job or one look at the status, so that other hosts
//! can use a network printer. A document goes out in pieces, and before each the printer is asked whether it still can.
//!
//! Facts about commands and answers: Epson ESC/POS reference (DLE EOT, GS r, GS ( H, GS I); Linux `usblp` driver.
mod encode;
mod learn;
mod port;
mod talk;
mod worker;

use crate::domain::quirks::{Quirk, Traits, UsbId};
use crate::domain::receipt::Glyphs;
use crate::ports::{PrinterCommand, PrinterEvent};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::mpsc;

pub use encode::{EncodeError, Pen, encode};

/// Commands that may wait; a full queue refuses.
const COMMANDS_MAX: usize = 8;
/// Dots on a line where nobody says how many: 58 mm paper.
pub const WIDTH_DOTS: u32 = 384;
/// How long the coil of a drawer pulls where nobody says how long, in milliseconds.
const DRAWER_PULSE_MS: u16 = 100;

/// Which printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The first `/dev/usb/lp*` that is there.
    Auto,
    /// The `/dev/usb/lp*` of a USB device, with its serial number where several are the same.
    Usb(UsbId, Option<String>),
    /// A special file: of the `usblp` driver, a serial line, a pseudo-terminal.
    Special(PathBuf),
    /// Raw printing on TCP, usually port 9100.
    Tcp(String, u16),
    /// A file to which the bytes are appended.
    File(PathBuf),
}

/// The text names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[printer] device = {given:?} is not auto, /dev/..., tcp:HOST:PORT or file:/PATH")]
pub struct DeviceError {
    /// What was there.
    pub given: String,
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let bad = || DeviceError { given: text.to_owned() };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if text.starts_with("/dev/") {
            return Ok(Self::Special(PathBuf::from(text)));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.starts_with('/') { Ok(Self::File(PathBuf::from(path))) } else { Err(bad()) };
        }
        let (host, port) =
            text.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port.parse() {
            Ok(port) if port != 0 && !host.is_empty() => Ok(Self::Tcp(host.to_owned(), port)),
            _ => Err(bad()),
        }
    }
}

/// How a serial line is held back while the printer cannot take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Not at all.
    Nothing,
    /// By a wire: CTS, to which a printer's DTR or RTS is led.
    RtsCts,
    /// By bytes of the printer.
    XonXoff,
}

/// How a serial line is spoken on: 8 bits, no parity, one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits per second.
    pub speed: u32,
    /// What holds it back.
    pub flow: Flow,
}

impl Default for Line {
    /// As printers are sold: the plug's wire holds back.
    fn default() -> Self {
        Self { speed: 115_200, flow: Flow::RtsCts }
    }
}

/// How Chinese is put on paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chinese {
    /// As pictures over USB and networks, where they cost nothing that can be seen; as text elsewhere.
    Auto,
    /// As text in GB18030, which all printers sold in China know; lines with rare characters as pictures.
    Gb18030,
    /// As pictures.
    Raster,
}

/// What the thread must know.
#[derive(Clone, Debug)]
pub struct PrinterSettings {
    /// Which printer.
    pub device: Device,
    /// How it is spoken to where that is a serial line.
    pub line: Line,
    /// Dots on a line: 384 on 58 mm paper, 576 on 80 mm. `None`: as its quirks say, else 384.
    pub width_dots: Option<u32>,
    /// How Chinese is printed.
    pub chinese: Chinese,
    /// Shapes of characters. Without them all is printed as text.
    pub glyphs: Option<Arc<dyn Glyphs>>,
    /// The cash drawer at the printer.
    pub drawer: Option<DrawerWire>,
    /// What is known of printers by their make.
    pub quirks: Vec<Quirk>,
    /// How long to wait for what.
    pub timing: Timing,
}

/// How a cash drawer hangs on the printer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawerWire {
    /// Its coil is at pin 5 of the plug, not at pin 2.
    pub pin_5: bool,
    /// How long the coil pulls, 2 to 510 ms. `None`: as the printer's quirks say, else 100.
    pub pulse_ms: Option<u16>,
    /// What its switch, at pin 3, says when it is open; `None`: there is none.
    pub open_is_high: Option<bool>,
}

impl DrawerWire {
    /// ESC p m t1 t2, times in units of 2 ms. The coil rests for as long as a person needs to push the drawer in again.
    /// Source: Epson ESC/POS reference.
    fn pulse(self, traits: &Traits) -> [u8; 5] {
        let pulse_ms = self.pulse_ms.or(traits.drawer_pulse_ms).unwrap_or(DRAWER_PULSE_MS);
        let on = u8::try_from(pulse_ms / 2).unwrap_or(u8::MAX);
        [0x1b, b'p', u8::from(self.pin_5), on, u8::MAX]
    }
}

impl PrinterSettings {
    /// How documents are written for a printer of which this is known. What the settings say counts first. `slow`: a
    /// picture takes seconds on the way to it.
    #[must_use]
    pub fn pen(&self, traits: &Traits, slow: bool) -> Pen {
        let raster = match (self.chinese, traits.raster) {
            (Chinese::Auto, Some(raster)) => raster,
            (Chinese::Auto, None) => !slow,
            (Chinese::Raster, _) => true,
            (Chinese::Gb18030, _) => false,
        };
        let plain = Pen::new(self.width_dots.or(traits.width_dots).unwrap_or(WIDTH_DOTS), raster);
        Pen {
            glyphs: self.glyphs.clone(),
            feed_lines: traits.feed_lines.unwrap_or(plain.feed_lines),
            cutter: traits.cutter.unwrap_or(plain.cutter),
            ..plain
        }
    }
}

/// How long the thread waits. The defaults suit printers as they are sold; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to one status request.
    pub answer: Duration,
    /// For the printer to take one more byte. Longer than a small buffer needs to drain at walking speed.
    pub stall: Duration,
    /// For the proof of the end, on top of the time that printing takes.
    pub proof: Duration,
    /// Between two looks at a printer that is in trouble.
    pub probe: Duration,
    /// Speed of the paper in mm/s, low rather than high. Choice: 60; cheap heads make 50 to 90.
    pub paper_mm_s: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_millis(500),
            stall: Duration::from_secs(10),
            proof: Duration::from_secs(8),
            probe: Duration::from_secs(10),
            paper_mm_s: 60,
        }
    }
}

/// The way to the thread. The thread ends when the last handle is gone.
#[derive(Clone, Debug)]
pub struct PrinterHandle {
    commands: SyncSender<PrinterCommand>,
}

impl PrinterHandle {
    /// Puts a command without waiting.
    ///
    /// # Errors
    /// `Full` when eight commands wait, `Disconnected` when the thread is gone; the command comes back.
    pub fn try_send(&self, command: PrinterCommand) -> Result<(), TrySendError<PrinterCommand>> {
        self.commands.try_send(command)
    }
}

/// Starts the thread `posd-printer`. An absent printer is no error: its status says so.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    settings: PrinterSettings,
    events: mpsc::Sender<PrinterEvent>,
) -> std::io::Result<PrinterHandle> {
    let (commands, queue) = sync_channel(COMMANDS_MAX);
    let thread = std::thread::Builder::new().name("posd-printer".to_owned());
    thread.spawn(move || worker::Worker::new(settings, events).run(&queue))?;
    Ok(PrinterHandle { commands })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_texts_are_read_or_refused_with_what_is_allowed() {
        let check = |text: &str, expected: Option<Device>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("auto", Some(Device::Auto));
        check("/dev/usb/lp0", Some(Device::Special("/dev/usb/lp0".into())));
        check("tcp:192.0.2.7:9100", Some(Device::Tcp("192.0.2.7".to_owned(), 9100)));
        check("tcp:[::1]:9100", Some(Device::Tcp("::1".to_owned(), 9100)));
        check("file:/tmp/slips.bin", Some(Device::File("/tmp/slips.bin".into())));
        check("usb:04b8:0202", None);
        check("tcp::9100", None);
        check("tcp:printer:0", None);
        check("file:slips.bin", None);
        let error = "lpt1".parse::<Device>().unwrap_err().to_string();
        assert!(error.contains("lpt1") && error.contains("tcp:HOST:PORT"), "{error}");
    }
}
