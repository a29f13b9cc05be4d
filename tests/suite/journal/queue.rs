//! What is owed: reversals, uploads, script results, refunds of unknown outcome.
use super::*;

fn entry(name: &str, entry_type: EntryType) -> EntryId {
    EntryId::new(txn_id(name), entry_type)
}

fn attempt_of(entry: EntryId, seconds: u64) -> Record {
    Record::QueueAttempt { entry, at: at(seconds) }
}

fn becomes(entry: EntryId, state: QueueState, code: Option<&str>) -> Record {
    let response_code = code.map(|c| ResponseCode::new(c).unwrap());
    let error = String::new();
    Record::QueueState { entry, host: None, state, response_code, ask_again: false, error, at: at(300) }
}

fn resolve(entry: EntryId, how: Resolution) -> Record {
    Record::Resolved { entry, how, operator: OperatorId::new("00").ok(), at: at(400) }
}

fn refused(journal: &mut SqliteJournal, record: Record) {
    let before = journal.load().unwrap();
    let shown = format!("{record:?}");
    let error = journal.commit(&[record], Durability::Full).err();
    assert!(matches!(error, Some(JournalError::Fault(_))), "{shown}: {error:?}");
    assert_eq!(journal.load().unwrap(), before, "{shown}");
}

/// Attempts are counted before their first byte; a failed reversal stays open until it is done; done turns
/// unknown into reversed and keeps the result code.
#[test]
fn a_reversal_goes_from_due_to_done() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    assert!(journal.commit(&[attempt("a", 11)], Durability::Full).is_err(), "armed is not due");
    commit(&mut journal, close(unknown("a")));
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Unknown);
    for n in 1..=3 {
        commit(&mut journal, attempt("a", 100 + n));
        drop(journal);
        journal = open(&dir.path().join("state"));
        let reversal = journal.load().unwrap().open.first().unwrap().reversal().cloned().unwrap();
        assert_eq!((reversal.state, u64::from(reversal.attempts)), (QueueState::Sending, n));
    }
    commit(&mut journal, reversal_state("a", QueueState::Failed, None));
    assert_eq!(journal.load().unwrap().open.len(), 1);
    commit(&mut journal, attempt("a", 200));
    commit(&mut journal, reversal_state("a", QueueState::Due, Some("25")));
    assert!(row(&mut journal, "a").reversal().cloned().unwrap().ask_again);
    commit(&mut journal, attempt("a", 290));
    commit(&mut journal, reversal_state("a", QueueState::Done, Some("00")));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.result), (Outcome::Reversed, Some(ResultCode::HostTimeout)));
    let reversal = stored.reversal().unwrap();
    assert_eq!((reversal.state, reversal.attempts, reversal.ask_again), (QueueState::Done, 5, false));
    assert!(journal.load().unwrap().open.is_empty());
    assert!(journal.commit(&[attempt("a", 400)], Durability::Full).is_err(), "done is done");
}

/// A declined sale whose reversal is done stays declined.
#[test]
fn a_done_reversal_changes_only_an_unknown_outcome() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let end = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    commit(&mut journal, close(end));
    commit(&mut journal, attempt("a", 110));
    commit(&mut journal, reversal_state("a", QueueState::Done, Some("00")));
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Declined);
}

/// Stored offline: outcome, number and queue entry are one commit; attempts count, and each end is kept.
#[test]
fn a_sale_stored_offline_takes_its_number_and_waits_for_upload() {
    let (dir, mut journal) = new_journal();
    assert_eq!(commit(&mut journal, close(stored_offline("a", 10))), Some((stan(1), BatchNumber::FIRST)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let kept = row(&mut journal, "a");
    assert_eq!((kept.outcome, kept.stan), (Outcome::StoredOffline, Some(stan(1))));
    assert_eq!((&kept.wire, kept.entries.len()), (&Some(wire()), 1));
    let upload = kept.entry(EntryType::OfflineSale).unwrap();
    assert_eq!((upload.state, upload.attempts, upload.armed), (QueueState::Queued, 0, false));
    assert_eq!((&upload.icc, upload.created_at), (&wire().icc, at(100)));
    let loaded = journal.load().unwrap();
    assert_eq!((loaded.open.len(), loaded.batch_has_records), (1, true));
    assert_eq!(loaded.identity.unwrap().terminal_id, wire().terminal_id);

    let id = entry("a", EntryType::OfflineSale);
    assert_eq!(commit(&mut journal, attempt_of(id.clone(), 200)), None, "it keeps its number");
    refused(&mut journal, becomes(id.clone(), QueueState::Due, None));
    commit(&mut journal, becomes(id.clone(), QueueState::Parked, None));
    refused(&mut journal, attempt_of(id.clone(), 210));
    commit(&mut journal, becomes(id.clone(), QueueState::Queued, None));
    commit(&mut journal, attempt_of(id.clone(), 220));
    let host = HostFacts { rrn: Rrn::new("999988887777").ok(), ..HostFacts::default() };
    let done = Record::QueueState {
        entry: id.clone(),
        state: QueueState::Done,
        response_code: ResponseCode::new("00").ok(),
        ask_again: false,
        error: String::new(),
        host: Some(Box::new(host.clone())),
        at: at(230),
    };
    commit(&mut journal, done);
    let kept = row(&mut journal, "a");
    assert_eq!((kept.outcome, kept.host.rrn), (Outcome::StoredOffline, host.rrn));
    assert_eq!((kept.entries[0].attempts, kept.entries[0].state), (2, QueueState::Done));
    refused(&mut journal, becomes(id, QueueState::Queued, None));
}

/// A sale that went online in vain and was then approved by its card keeps the number it had.
#[test]
fn an_upload_keeps_the_number_of_its_unsent_request() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, Record::Unsent { id: txn_id("a") });
    let end = Closed { start: None, ..stored_offline("a", 10) };
    assert_eq!(commit(&mut journal, close(end)), Some((stan(1), BatchNumber::FIRST)));
    assert_eq!(row(&mut journal, "a").stan, Some(stan(1)));
    assert_eq!(journal.load().unwrap().next_stan, Some(stan(2)));
}

/// Only what is stored offline is uploaded, and nothing is stored offline without its upload.
#[test]
fn an_upload_and_the_outcome_stored_offline_come_together() {
    let (_dir, mut journal) = new_journal();
    refused(&mut journal, close(Closed { upload: None, ..stored_offline("a", 10) }));
    refused(&mut journal, close(Closed { outcome: Outcome::Approved, ..stored_offline("a", 10) }));
    let mut end = stored_offline("a", 10);
    end.upload.as_mut().unwrap().entry_type = EntryType::Reversal;
    refused(&mut journal, close(end));
}

/// A local void and the removal of the entry are one commit; after one attempt the bank must be asked.
#[test]
fn a_local_void_withdraws_only_what_was_never_sent() {
    let (_dir, mut journal) = new_journal();
    for name in ["a", "b"] {
        commit(&mut journal, close(stored_offline(name, 10)));
    }
    let void = |name: &str, original: &str| {
        let mut start = start(name, 50);
        start.kind = Kind::Void;
        start.terms.original = Some(OriginalRef { txn: Some(txn_id(original)), ..OriginalRef::default() });
        let withdraws = Some(entry(original, EntryType::OfflineSale));
        Closed { start: Some(start), withdraws, plies: Vec::new(), ..approved(name) }
    };
    commit(&mut journal, close(void("va", "a")));
    let original = row(&mut journal, "a");
    assert_eq!((original.entries, original.outcome), (Vec::new(), Outcome::StoredOffline));
    let follow = original.follow_ups.first().unwrap();
    assert_eq!((follow.kind, follow.outcome, follow.unresolved), (Kind::Void, Outcome::Approved, false));
    assert_eq!(row(&mut journal, "va").stan, None, "the bank hears nothing of it");
    commit(&mut journal, attempt_of(entry("b", EntryType::OfflineSale), 60));
    refused(&mut journal, close(void("vb", "b")));
    refused(&mut journal, close(void("vc", "a")));
}

/// A script result is due with the outcome, takes its own number at its first attempt, and keeps it.
#[test]
fn a_script_result_takes_its_number_at_its_first_attempt() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(
        &mut journal,
        close(Closed { script: Some(vec![0xdf, 0x31]), plies: Vec::new(), ..approved("a") }),
    );
    let id = entry("a", EntryType::Script);
    let script = row(&mut journal, "a").entry(EntryType::Script).cloned().unwrap();
    assert_eq!((script.state, script.stan, script.icc), (QueueState::Due, None, vec![0xdf, 0x31]));
    assert_eq!(commit(&mut journal, attempt_of(id.clone(), 20)), Some((stan(2), BatchNumber::FIRST)));
    assert_eq!(commit(&mut journal, attempt_of(id.clone(), 30)), Some((stan(2), BatchNumber::FIRST)));
    let script = row(&mut journal, "a").entry(EntryType::Script).cloned().unwrap();
    assert_eq!((script.state, script.stan, script.attempts), (QueueState::Sending, Some(stan(2)), 2));
    commit(&mut journal, becomes(id, QueueState::Done, Some("00")));
    assert!(journal.load().unwrap().open.is_empty());
}

/// A refund arms an exception and no reversal; silence leaves it to the shop, which is the only one to end it.
#[test]
fn a_refund_of_unknown_outcome_waits_for_the_shop() {
    let (_dir, mut journal) = new_journal();
    let refund = |name: &str| {
        let Record::Sending(mut sending) = sending(name, 10) else { unreachable!() };
        sending.start.kind = Kind::Refund;
        Record::Sending(sending)
    };
    for (name, how, outcome, result) in [
        ("p", Resolution::Paid, Outcome::Approved, ResultCode::ResolvedPaid),
        ("n", Resolution::NotPaid, Outcome::Failed, ResultCode::ResolvedNotPaid),
        ("w", Resolution::WrittenOff, Outcome::Unknown, ResultCode::HostTimeout),
    ] {
        commit(&mut journal, refund(name));
        let armed = row(&mut journal, name).entry(EntryType::RefundUnknown).cloned().unwrap();
        assert_eq!((armed.armed, armed.state, armed.reason), (true, QueueState::Failed, None));
        let id = entry(name, EntryType::RefundUnknown);
        refused(&mut journal, resolve(id.clone(), how));
        refused(&mut journal, close(unknown(name)));
        commit(&mut journal, close(Closed { reversal: None, ..unknown(name) }));
        let kept = row(&mut journal, name).entry(EntryType::RefundUnknown).cloned().unwrap();
        assert_eq!((kept.armed, kept.state), (false, QueueState::Failed));
        refused(&mut journal, attempt_of(id.clone(), 110));
        refused(&mut journal, becomes(id.clone(), QueueState::Done, None));
        commit(&mut journal, resolve(id.clone(), how));
        let end = row(&mut journal, name);
        assert_eq!((end.outcome, end.result), (outcome, Some(result)));
        let amount = if how == Resolution::Paid { 1250 } else { 0 };
        assert_eq!(end.approved_amount.minor(), amount);
        assert_eq!(end.entries[0].resolution, Some(how));
        refused(&mut journal, resolve(id, how));
    }
    commit(&mut journal, refund("ok"));
    commit(&mut journal, close(Closed { plies: Vec::new(), ..approved("ok") }));
    assert_eq!(row(&mut journal, "ok").entries, []);
}

/// An unknown sale can be resolved, too; a sale whose upload was denied keeps its outcome, whatever the shop says.
#[test]
fn the_shop_settles_only_an_unknown_outcome() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(unknown("a")));
    commit(&mut journal, becomes(reversal_of("a"), QueueState::Failed, None));
    commit(&mut journal, resolve(reversal_of("a"), Resolution::NotPaid));
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Failed);
    commit(&mut journal, close(stored_offline("b", 20)));
    let id = entry("b", EntryType::OfflineSale);
    commit(&mut journal, attempt_of(id.clone(), 30));
    commit(&mut journal, becomes(id.clone(), QueueState::Denied, Some("14")));
    assert_eq!(journal.load().unwrap().open.len(), 1, "an exception stays open");
    commit(&mut journal, resolve(id, Resolution::NotPaid));
    let kept = row(&mut journal, "b");
    assert_eq!((kept.outcome, kept.entries[0].state), (Outcome::StoredOffline, QueueState::Done));
}

/// A balance inquiry arms nothing, and its silence leaves nothing.
#[test]
fn a_balance_inquiry_owes_nothing() {
    let (_dir, mut journal) = new_journal();
    for name in ["a", "b"] {
        let Record::Sending(mut sending) = sending(name, 10) else { unreachable!() };
        sending.start.kind = Kind::Balance;
        commit(&mut journal, Record::Sending(sending));
        assert_eq!(row(&mut journal, name).entries, []);
    }
    commit(&mut journal, Record::Unsent { id: txn_id("a") });
    refused(&mut journal, close(unknown("b")));
    let host = HostFacts { balance: Some("0201156C000000123456".to_owned()), ..approved("b").host };
    commit(&mut journal, close(Closed { host: host.clone(), plies: Vec::new(), ..approved("b") }));
    assert_eq!(row(&mut journal, "b").host, host);
}

/// A follow-up keeps what it knows of its original, and the original lists what followed it.
#[test]
fn follow_ups_and_originals_know_each_other() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(approved("a")));
    let terms = Terms {
        original: Some(OriginalRef {
            txn: Some(txn_id("a")),
            batch: BatchNumber::new(1).ok(),
            stan: Stan::new(1).ok(),
            date: Some("1122".to_owned()),
            rrn: approved("a").host.rrn,
            auth_code: approved("a").host.auth_code,
            card_token: Some(card().token.clone()),
        }),
        auth_code: AuthCode::new("777777").ok(),
        supervisor: OperatorId::new("00").ok(),
        allow_partial: true,
        linked: true,
    };
    let Record::Sending(mut void) = sending("v", 20) else { unreachable!() };
    void.start.kind = Kind::Void;
    void.start.terms = terms.clone();
    void.wire.original = "000001000001".to_owned();
    commit(&mut journal, Record::Sending(void.clone()));
    let kept = row(&mut journal, "v");
    assert_eq!((kept.start.terms, kept.wire), (terms, Some(void.wire)));
    let follow = row(&mut journal, "a").follow_ups.pop().unwrap();
    let expected = FollowUp {
        id: txn_id("v"),
        kind: Kind::Void,
        outcome: Outcome::None,
        amount: Amount::from_minor(1250).unwrap(),
        unresolved: true,
        stands: false,
    };
    assert_eq!(follow, expected);
    commit(&mut journal, close(Closed { host: HostFacts::default(), ..approved("v") }));
    let follow = row(&mut journal, "a").follow_ups.pop().unwrap();
    assert_eq!((follow.outcome, follow.unresolved, follow.stands), (Outcome::Approved, false, true));
}

/// A completion blocks its pre-authorisation until it was voided; an advice until the bank refuses it, or the shop says
/// that it was not paid.
#[test]
fn a_follow_up_stands_until_it_is_undone() {
    let (_dir, mut journal) = new_journal();
    let stands = |journal: &mut SqliteJournal| {
        let follow = row(journal, "p").follow_ups.pop().unwrap();
        (follow.stands, follow.unresolved)
    };
    let follows = |mut start: TxnStart, kind, original: &str| {
        start.kind = kind;
        start.terms.original = Some(OriginalRef { txn: Some(txn_id(original)), ..OriginalRef::default() });
        start
    };
    let asked = |name: &str, seconds: u64, kind, original: &str| {
        let Record::Sending(mut sending) = sending(name, seconds) else { unreachable!() };
        sending.start = follows(sending.start, kind, original);
        Record::Sending(sending)
    };
    let Record::Sending(mut pre_auth) = sending("p", 10) else { unreachable!() };
    pre_auth.start.kind = Kind::PreAuth;
    commit(&mut journal, Record::Sending(pre_auth));
    commit(&mut journal, close(approved("p")));
    commit(&mut journal, asked("c", 20, Kind::PreAuthComplete, "p"));
    assert_eq!(stands(&mut journal), (false, true), "asked for");
    commit(&mut journal, close(approved("c")));
    assert_eq!(stands(&mut journal), (true, false));
    commit(&mut journal, asked("v", 30, Kind::PreAuthCompleteVoid, "c"));
    commit(&mut journal, close(unknown("v")));
    assert_eq!(stands(&mut journal), (true, false), "nobody knows whether it was undone");
    commit(&mut journal, becomes(reversal_of("v"), QueueState::Done, Some("00")));
    assert_eq!(stands(&mut journal), (true, false), "its undo was reversed");
    commit(&mut journal, asked("w", 40, Kind::PreAuthCompleteVoid, "c"));
    commit(&mut journal, close(approved("w")));
    assert_eq!(stands(&mut journal), (false, false));
    for (name, state) in [("d", QueueState::Denied), ("f", QueueState::Failed)] {
        let start = Some(follows(start(name, 50), Kind::PreAuthAdvice, "p"));
        let upload = Some(Upload { entry_type: EntryType::Advice, wire: wire() });
        commit(&mut journal, close(Closed { start, upload, ..stored_offline(name, 50) }));
        assert_eq!(stands(&mut journal), (true, true));
        let code = (state == QueueState::Denied).then_some("14");
        commit(&mut journal, becomes(entry(name, EntryType::Advice), state, code));
        let failed = state == QueueState::Failed;
        assert_eq!(stands(&mut journal), (failed, failed), "{state}");
    }
    commit(&mut journal, resolve(entry("f", EntryType::Advice), Resolution::NotPaid));
    assert_eq!(stands(&mut journal), (false, false));
}

/// A refused signature is read back from its line of the timeline, until its batch is settled, and so is that the
/// terminal cannot undo it.
#[test]
fn a_refused_signature_is_read_back() {
    let (dir, mut journal) = new_journal();
    let signs = |name: &str| {
        let facts = CardFacts::clone(&card());
        let card = CardFacts { cvm: CvmMethod::Signature, signature_required: true, ..facts };
        Closed { card: Some(Arc::new(card)), plies: Vec::new(), ..approved(name) }
    };
    for name in ["quiet", "refused", "matches"] {
        commit(&mut journal, sending(name, 10));
        commit(&mut journal, close(signs(name)));
    }
    assert_eq!(journal.load().unwrap().refused, []);
    for (name, what) in [("refused", "signature-refused"), ("matches", "state")] {
        let row = TimelineRow { at: at(110), what: what.to_owned(), text: String::new(), stan: None };
        commit(&mut journal, Record::Timeline { id: txn_id(name), row });
    }
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let refused = row(&mut journal, "refused");
    assert!(refused.card.as_ref().is_some_and(|card| card.signature_required));
    assert_eq!(journal.load().unwrap().refused, [refused]);
    assert!(journal.load().unwrap().not_undone.is_empty());
    let row =
        TimelineRow { at: at(111), what: "undo-impossible".to_owned(), text: String::new(), stan: None };
    commit(&mut journal, Record::Timeline { id: txn_id("refused"), row });
    assert_eq!(journal.load().unwrap().not_undone, [txn_id("refused")].into());
}

/// A person holds the queue back with a reason, over restarts, and lets it go on.
#[test]
fn a_pause_is_kept() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, Record::QueuePaused { why: Some("bank is down".to_owned()) });
    journal.reopen().unwrap();
    assert_eq!(journal.load().unwrap().queue_paused.as_deref(), Some("bank is down"));
    commit(&mut journal, Record::QueuePaused { why: None });
    assert_eq!(journal.load().unwrap().queue_paused, None);
}
