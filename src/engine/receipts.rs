//! `Transaction.GetReceipt`: a slip as text, picture or printer commands, and what slips say of the shop.
use super::paper::OwnKind;
use super::start::reply;
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::domain::money::Currency;
use crate::domain::outcome::{Ply, PrintState};
use crate::domain::receipt::{self, Document};
use crate::domain::record::{Closed, PlyRow, TxnRow};
use crate::domain::slip::declined::{Declined, declined};
use crate::domain::slip::{self, Shop};
use crate::domain::unionpay::in_test_mode;
use crate::ports::{JournalError, SlipForm};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A receipt somebody wants to have.
pub(super) struct ReceiptWish {
    ply: Ply,
    format: String,
    answer: oneshot::Sender<Result<Vec<u8>, Fault>>,
}

impl Engine {
    /// `Transaction.GetReceipt`.
    pub(super) fn receipt(
        &mut self,
        id: TxnId,
        ply: Ply,
        format: String,
        answer: oneshot::Sender<Result<Vec<u8>, Fault>>,
    ) {
        self.find(Note::Receipt(Box::new(ReceiptWish { ply, format, answer })), id);
    }

    pub(super) fn receipt_found(
        &mut self,
        wish: ReceiptWish,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        let ReceiptWish { ply, format, answer } = wish;
        reply(answer, self.rendered(result, ply, &format));
    }

    fn rendered(
        &self,
        result: Result<Option<Box<TxnRow>>, JournalError>,
        ply: Ply,
        format: &str,
    ) -> Result<Vec<u8>, Fault> {
        let row = result.map_err(|error| super::journal_thread::read_fault(&error))?;
        let row =
            row.ok_or_else(|| Fault::new(FaultName::NotFound, "the transaction is not in the ledger"))?;
        // A ply that may be on paper already is handed out as a copy only.
        let out =
            |p: &PlyRow| p.ply == ply && matches!(p.state, PrintState::Confirmed | PrintState::Unconfirmed);
        let document = self
            .document(&row, ply, row.plies.iter().any(out))
            .ok_or_else(|| Fault::new(FaultName::WrongState, "only an approved transaction has a slip"))?;
        // As the printer at hand would print it.
        let dots = self.printer_status.as_ref().map_or(self.settings.width_dots, |status| status.dots);
        match format {
            "text" => Ok(receipt::text(&document, receipt::columns(dots)).into_bytes()),
            "svg" => Ok(receipt::svg(&document, dots).into_bytes()),
            other => {
                // A picture fails where the machine has no font.
                let (form, name) = match other {
                    "png" => (SlipForm::Png, FaultName::NotSupported),
                    _ => (SlipForm::EscPos, FaultName::Failed),
                };
                (self.render_slip)(&document, form).map_err(|text| Fault::new(name, text))
            }
        }
    }

    /// What slips say of the shop.
    pub(super) fn shop(&self, currency: Currency) -> Shop {
        Shop {
            merchant_name: self.settings.merchant_name.clone(),
            terminal_id: self.settings.identity.terminal_id.clone(),
            merchant_id: self.settings.identity.merchant_id.clone(),
            language: self.settings.language,
            currency_symbol: symbol(currency.alpha()).to_owned(),
            profile: Arc::clone(&self.settings.identity.profile),
            testing: in_test_mode(self.settings.identity.header),
            template: Arc::clone(&self.settings.slips),
        }
    }

    /// The slip of a refusal. It proves nothing and nobody signs it, so it is paper of the shop's own: nothing of it is
    /// in the journal, and a restart forgets it.
    pub(super) fn print_declined(&mut self, closed: &Closed) {
        let Some(view) = self.entries.get(&closed.id).map(|entry| &entry.view) else { return };
        let (Some(reason), Some(currency)) = (&view.result_text, Currency::from_alpha(view.currency)) else {
            return;
        };
        let facts = Declined {
            kind: view.kind,
            amount: view.amount,
            currency,
            masked_pan: &view.masked_pan,
            operator: &view.operator,
            batch: view.batch,
            stan: view.trace,
            response_code: &view.response_code,
            reason,
        };
        let slip = declined(facts, &self.shop(currency), self.system.local(closed.finished_at));
        if let Err(fault) = self.print_own(OwnKind::Declined, slip) {
            tracing::warn!(%fault, "a refusal gets no slip");
        }
    }

    pub(super) fn document(&self, row: &TxnRow, ply: Ply, copy: bool) -> Option<Document> {
        let shop = self.shop(row.start.currency);
        let at = row.finished_at.unwrap_or(row.start.created_at);
        slip::receipt(row, &shop, self.system.local(at), ply, copy)
    }
}

/// What stands before amounts on slips.
fn symbol(alpha: &str) -> &str {
    if alpha == "CNY" { "RMB" } else { alpha }
}
