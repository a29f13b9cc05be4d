//! The cash drawer: opened by a pulse of the printer, by whom the configuration lets, and never by what waits.
use super::Engine;
use super::handle::{Caller, Leave};
use super::own_paper::{can_move, no_printer};
use super::view::DrawerView;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::leave::Deed;
use crate::domain::outcome::Role;
use crate::ports::PrinterCommand;

impl Engine {
    /// `Drawer.Open`. It is on record who opened it, and by whose leave.
    ///
    /// A printer in trouble is not told: it would open the drawer when somebody loads paper, before an empty shop.
    ///
    /// # Errors
    /// `NotSupported` without a drawer, `OperatorRequired`, `NotAuthorized` with action `drawer`, and why the printer
    /// cannot: `DeviceAbsent`, `PaperOut`, `DeviceFault`, `DeviceBusy`.
    pub(super) fn open_drawer(&mut self, leave: &Leave, caller: &Caller) -> Result<(), Fault> {
        let Some(role) = self.settings.drawer_role else {
            return Err(Fault::new(FaultName::NotSupported, "no drawer is configured; see [printer] drawer"));
        };
        let operator = self.session_of(caller)?.operator.clone();
        can_move(self.printer_status.as_ref().ok_or_else(no_printer)?)?;
        if self.desk.is_printing() {
            return Err(Fault::new(FaultName::DeviceBusy, "a slip is being printed; wait for it"));
        }
        if role >= Role::Supervisor {
            self.may(&Deed::of("drawer"), leave, caller)?;
        }
        self.session_used()?;
        (self.printer)(PrinterCommand::OpenDrawer).map_err(|_| {
            Fault::new(FaultName::DeviceBusy, "the printer has much to do; try again in a moment")
        })?;
        self.desk.drawer_opens = self.desk.drawer_opens.saturating_add(1);
        self.note_audit(&operator, "drawer opened");
        Ok(())
    }

    /// What is shown of it; `None`: there is none.
    pub(super) fn drawer_view(&self) -> Option<DrawerView> {
        self.settings.drawer_role?;
        let open = self.printer_status.as_ref()?.drawer_open;
        Some(DrawerView { open, opens: self.desk.drawer_opens })
    }
}
