//! The rows of the durability rules for the kinds beside the sale: what each says, asks, owes and leaves behind.
use super::super::State;
use super::disk::StoreFault;
use super::makings::{card_on_file, original, start_of};
use super::world::{BankFault, ChipFault, Fault, World};
use crate::domain::ident::AuthCode;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryMode, EntryType, Kind, Outcome, Ply, Prompt, QueueState, ResultCode};
use crate::domain::profile::{Profile, UnsignedRefusals};
use crate::domain::record::{Record, ReversalReason};
use crate::domain::rules::{Silence, Undo, rule, undoes};
use crate::domain::unionpay::{de55, matrix};
use std::sync::Arc;

use Outcome::{Approved, Cancelled, Declined, Failed, StoredOffline, Unknown};

/// The kinds that ask the bank.
const ONLINE: [Kind; 8] = [
    Kind::Sale,
    Kind::Void,
    Kind::Refund,
    Kind::Balance,
    Kind::PreAuth,
    Kind::PreAuthVoid,
    Kind::PreAuthComplete,
    Kind::PreAuthCompleteVoid,
];

/// Every fault in turn, for the walks over all kinds.
fn faults() -> Vec<Fault> {
    use BankFault as Bank;
    let bank = [
        Bank::LoseReply,
        Bank::LateReply,
        Bank::BadMac,
        Bank::Garbled,
        Bank::Decline,
        Bank::DeclineUnsigned,
        Bank::Partial,
        Bank::LostBefore,
        Bank::RefuseKeys,
        Bank::LostAfterUnseen,
        Bank::LostAfterSeen,
    ];
    let stores = [StoreFault::Once, StoreFault::OnceButThere, StoreFault::Twice, StoreFault::TwiceButThere];
    let chip = [ChipFault::Removed, ChipFault::Mute, ChipFault::Refuses];
    let bank = bank.iter().flat_map(|fault| (0..3).map(|n| Fault::Bank(n, *fault)));
    let stores = stores.iter().flat_map(|fault| (0..5).map(|n| Fault::Store(n, *fault)));
    let chip = chip.iter().flat_map(|fault| (0..10).map(|n| Fault::Chip(n, *fault)));
    let rest = [Fault::ChipDeclines, Fault::NoLine(0), Fault::NoLine(1), Fault::Attempted];
    bank.chain(stores).chain(chip).chain((0..40).map(Fault::Cut)).chain(rest).collect()
}

pub(super) type Make = fn(&[Fault]) -> World;

/// Every way in which a transaction of any kind can be set up.
pub(super) fn makes() -> Vec<(&'static str, Make)> {
    vec![
        ("sale", |faults| World::sale(faults).with_icc()),
        ("sale, the chip decides", |faults| World::sale(faults).lenient()),
        ("sale, no line", |faults| World::sale(&[faults, &[Fault::NoLine(0)]].concat()).unable()),
        ("sale, line lost", |faults| {
            World::sale(&[faults, &[Fault::Bank(0, BankFault::LostBefore), Fault::NoLine(1)]].concat())
                .unable()
        }),
        ("duplicate", |faults| World::sale(faults).with_duplicate()),
        ("void", |faults| World::of(Kind::Void, faults)),
        ("void, local", |faults| World::of(Kind::Void, faults).locally()),
        ("void, linked", |faults| World::of(Kind::Void, faults).linked()),
        ("void, linked and local", |faults| World::of(Kind::Void, faults).linked().locally()),
        ("refund", |faults| World::of(Kind::Refund, faults)),
        ("balance", |faults| World::of(Kind::Balance, faults)),
        ("pre-auth", |faults| World::of(Kind::PreAuth, faults).with_icc()),
        ("pre-auth-void", |faults| World::of(Kind::PreAuthVoid, faults)),
        ("pre-auth-complete", |faults| World::of(Kind::PreAuthComplete, faults)),
        ("pre-auth-advice", |faults| World::of(Kind::PreAuthAdvice, faults)),
        ("pre-auth-complete-void", |faults| World::of(Kind::PreAuthCompleteVoid, faults)),
        ("offline-sale", |faults| World::of(Kind::OfflineSale, faults)),
        ("offline-sale, by voice", |faults| World::of(Kind::OfflineSale, faults).by_voice()),
    ]
}

/// Every kind against every fault, and against every fault with a power cut behind it: the judge is in `world`.
#[test]
fn every_kind_ends_in_agreement_whatever_goes_wrong() {
    let all = faults();
    let mut worlds = 0;
    for (name, make) in makes() {
        for fault in &all {
            for cut in [None, Some(Fault::Cut(12)), Some(Fault::Cut(20)), Some(Fault::Cut(28))] {
                let faults: Vec<Fault> = [*fault].into_iter().chain(cut).collect();
                let run = std::panic::catch_unwind(|| make(&faults).run());
                assert!(run.is_ok(), "{name} with {faults:?} breaks a rule");
                worlds += 1;
            }
        }
    }
    assert!(worlds > 9000, "{worlds}");
}

fn check(world: World, outcome: Outcome, result: ResultCode, reversal: Option<ReversalReason>) -> World {
    let world = world.run();
    assert_eq!((world.told, world.result()), (Some(outcome), Some(result)));
    assert_eq!(world.reversal_due(), reversal);
    world
}

/// "Closed(approved): RRN, auth code, approved amount ... before `Finished`": each kind ends so, with the fields of its
/// row on the wire.
#[test]
fn each_kind_asks_the_bank_as_its_row_says() {
    for kind in ONLINE {
        let world = check(World::of(kind, &[]), Approved, ResultCode::Approved, None);
        let asked = world.bank.asked.as_ref().unwrap();
        let wire = &asked.wire;
        let row = matrix::of_facts(wire).unwrap();
        assert_eq!(row.name, rule(kind).message);
        assert_eq!(
            (wire.processing_code.as_str(), wire.condition.as_str()),
            (row.processing_code, row.condition)
        );
        let pays = matches!(kind, Kind::Sale | Kind::Balance | Kind::PreAuth);
        assert_eq!(!wire.icc.is_empty(), pays, "{kind}: DE 55");
        assert_eq!(world.chip.said_tc, pays, "{kind}: a cryptogram");
        assert!(asked.track2.is_some(), "{kind}");
        let with_pin = !matches!(kind, Kind::Void | Kind::Refund);
        assert_eq!(asked.pin.is_some(), with_pin, "{kind}: PIN by the profile");
        assert_eq!(wire.entry_mode, if with_pin { "051" } else { "052" }, "{kind}");
        let expected = match kind {
            Kind::Void => "000001000900",
            Kind::PreAuthCompleteVoid => "0000010009001122",
            Kind::Refund | Kind::PreAuthVoid | Kind::PreAuthComplete => "0000000000001122",
            _ => "",
        };
        assert_eq!(wire.original, expected, "{kind}: DE 61");
        let row = world.disk.row.as_ref().unwrap();
        assert_eq!(row.approved_amount, row.start.amount, "{kind}");
        let plies: Vec<_> = row.plies.iter().map(|ply| ply.ply).collect();
        let wanted: &[Ply] = if kind == Kind::Balance { &[] } else { &[Ply::Merchant, Ply::Customer] };
        assert_eq!(plies, wanted, "{kind}");
    }
}

/// "no, late, unreadable or mismatching answer (98), wrong MAC (A0)": reversed where the kind can be.
#[test]
fn silence_is_reversed_excepted_or_forgotten_as_the_kind_says() {
    let cases = [
        (BankFault::LoseReply, ResultCode::HostTimeout, ReversalReason::NoAnswer),
        (BankFault::LateReply, ResultCode::HostTimeout, ReversalReason::NoAnswer),
        (BankFault::Garbled, ResultCode::ProtocolError, ReversalReason::NoAnswer),
        (BankFault::BadMac, ResultCode::MacError, ReversalReason::MacError),
        (BankFault::LostAfterSeen, ResultCode::HostTimeout, ReversalReason::NoAnswer),
    ];
    for kind in ONLINE {
        for (fault, result, reason) in cases {
            let world = World::of(kind, &[Fault::Bank(0, fault)]);
            match rule(kind).silence {
                Silence::Reverse => _ = check(world, Unknown, result, Some(reason)),
                Silence::Except => {
                    let world = check(world, Unknown, result, None);
                    let row = world.disk.row.as_ref().unwrap();
                    let entry = row.entry(EntryType::RefundUnknown).unwrap();
                    assert_eq!((entry.state, entry.armed), (QueueState::Failed, false));
                    assert!(world.bank.holds && world.bank.reversals.is_empty(), "never undone by itself");
                }
                Silence::Forget => {
                    let world = check(world, Failed, result, None);
                    assert!(world.disk.row.as_ref().unwrap().entries.is_empty(), "nothing owed");
                }
            }
        }
    }
}

/// "the commit of Closed fails twice": what nobody has heard of is undone, excepted, or waits for the disk.
#[test]
fn an_approval_that_cannot_be_stored_is_not_kept() {
    let run = |kind| World::of(kind, &[Fault::Store(1, StoreFault::Twice)]);
    check(run(Kind::Void), Unknown, ResultCode::StorageFault, Some(ReversalReason::Refused));
    let refund = check(run(Kind::Refund), Unknown, ResultCode::StorageFault, None);
    assert!(refund.disk.owes(EntryType::RefundUnknown));
    check(run(Kind::Balance), Approved, ResultCode::Approved, None);
}

/// "Balance: failed, nothing owed"; answered, its DE 54 is kept.
#[test]
fn a_balance_keeps_what_the_bank_says() {
    let world = World::of(Kind::Balance, &[]).run();
    let row = world.disk.row.as_ref().unwrap();
    assert_eq!(row.host.balance.as_deref(), Some("1002156C000000123456"));
    let gone = World::of(Kind::Balance, &[Fault::Chip(7, ChipFault::Removed)]);
    check(gone, Failed, ResultCode::CardRemoved, None);
    check(World::of(Kind::Balance, &[Fault::ChipDeclines]), Declined, ResultCode::DeclinedCard, None);
}

/// A pre-authorisation is undone like a sale when its card declines after the approval, or is gone.
#[test]
fn a_pre_authorisation_that_the_card_refuses_is_reversed_06() {
    let refused = Some(ReversalReason::Refused);
    check(World::of(Kind::PreAuth, &[Fault::ChipDeclines]), Declined, ResultCode::DeclinedCard, refused);
    let gone = World::of(Kind::PreAuth, &[Fault::Chip(7, ChipFault::Removed)]);
    check(gone, Failed, ResultCode::CardRemoved, refused);
}

/// "Partial approval counts only for a sale that announced it, and only if 0 < F4 < requested".
#[test]
fn a_part_counts_only_where_it_was_announced() {
    let mut world = World::sale(&[Fault::Bank(0, BankFault::Partial)]);
    world.start.terms.allow_partial = true;
    let world = check(world, Approved, ResultCode::Partial, None);
    assert_eq!(world.disk.row.as_ref().unwrap().approved_amount, Amount::ONE);
    assert_eq!(world.bank.asked.as_ref().unwrap().wire.capability, "501");
    let mut whole = World::sale(&[Fault::Bank(0, BankFault::Partial)]);
    (whole.start.terms.allow_partial, whole.start.amount) = (true, Amount::ONE);
    check(whole, Declined, ResultCode::DeclinedHost, Some(ReversalReason::Refused));
    let void = World::of(Kind::Void, &[Fault::Bank(0, BankFault::Partial)]);
    check(void, Declined, ResultCode::DeclinedHost, Some(ReversalReason::Refused));
    let refund = World::of(Kind::Refund, &[Fault::Bank(0, BankFault::Partial)]);
    check(refund, Unknown, ResultCode::ProtocolError, None);
}

/// "Refusals without MAC: profile key unsigned-refusals": on a line without TLS the outcome stays declined and a
/// reversal is due.
#[test]
fn an_unsigned_refusal_is_reversed_where_the_profile_says_so() {
    let world = |kind, fault| {
        let mut world = World::of(kind, &[Fault::Bank(0, fault)]);
        Arc::make_mut(&mut world.setup.identity.profile).unsigned_refusals = UnsignedRefusals::Reverse;
        world
    };
    let due = Some(ReversalReason::NoAnswer);
    let declined = ResultCode::DeclinedHost;
    for kind in [Kind::Sale, Kind::Void] {
        check(world(kind, BankFault::DeclineUnsigned), Declined, declined, due);
        check(world(kind, BankFault::Decline), Declined, declined, None);
    }
    check(world(Kind::Balance, BankFault::DeclineUnsigned), Declined, declined, None);
    let mut secure = world(Kind::Sale, BankFault::DeclineUnsigned);
    secure.setup.tls = true;
    check(secure, Declined, declined, None);
    check(World::sale(&[Fault::Bank(0, BankFault::DeclineUnsigned)]), Declined, declined, None);
}

/// "script notification if due": when the answer carried scripts, approved or declined, and never otherwise.
#[test]
fn scripts_are_reported_when_there_were_some() {
    let script = |world: World| world.run().closed().script.clone();
    assert_eq!(script(World::sale(&[])), None);
    let results = script(World::sale(&[]).with_icc()).unwrap();
    let tags: Vec<_> = de55::objects(&results).unwrap().iter().map(|object| object.tag).collect();
    assert!(tags.iter().all(|tag| Profile::unionpay().icc.script_result.contains(tag)), "{tags:?}");
    assert!(tags.contains(&de55::SCRIPTS) && tags.contains(&de55::ATC));
    assert!(script(World::sale(&[Fault::Bank(0, BankFault::Decline)]).with_icc()).is_some());
    assert!(script(World::sale(&[Fault::ChipDeclines]).with_icc()).is_some());
    let cut_short = World::sale(&[Fault::Chip(10, ChipFault::Removed)]).with_icc();
    assert!(script(cut_short).is_some(), "undone scripts are reported as not performed");
}

/// A supervisor must allow voids and refunds: refused, too late or nobody there, and no card is asked for.
#[test]
fn without_a_supervisor_nothing_begins() {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| rule(*kind).supervisor).collect();
    assert_eq!(kinds, [Kind::Void, Kind::Refund, Kind::PreAuthVoid, Kind::PreAuthCompleteVoid]);
    for kind in kinds {
        let mut refused = World::of(kind, &[]);
        refused.says = false;
        let refused = check(refused, Cancelled, ResultCode::NotAuthorized, None);
        assert!(refused.prompts.is_empty() && refused.bank.sales.is_empty());
        let mut nobody = World::of(kind, &[]);
        nobody.agent = false;
        check(nobody, Failed, ResultCode::NotAuthorized, None);
        let allowed = World::of(kind, &[]).run();
        let supervisor = allowed.disk.row.as_ref().unwrap().start.terms.supervisor.clone();
        assert_eq!(supervisor.unwrap().as_str(), "00", "{kind}");
    }
}

/// The card of a follow-up must be that of its original; where that is not known any card will do.
#[test]
fn another_card_than_the_originals_is_refused() {
    for kind in [Kind::Void, Kind::Refund, Kind::PreAuthComplete, Kind::PreAuthAdvice] {
        let mut other = World::of(kind, &[]);
        other.start.terms.original.as_mut().unwrap().card_token = Some("another".to_owned());
        let other = check(other, Failed, ResultCode::WrongCard, None);
        assert!(other.bank.sales.is_empty() && !other.prompts.contains(&Prompt::EnterPin));
        let mut unknown = World::of(kind, &[]);
        unknown.start.terms.original.as_mut().unwrap().card_token = None;
        assert!(matches!(unknown.run().told, Some(Approved | StoredOffline)), "{kind}");
    }
}

/// From a blacklisted card no money is taken; what gives money back, or undoes, is left to the bank.
#[test]
fn a_blacklisted_card_pays_nothing() {
    let of = |kind| {
        let mut world = World::of(kind, &[]);
        let token = card_on_file().token;
        world.setup.blacklist = Arc::new([token].into_iter().collect());
        world
    };
    for kind in [Kind::Sale, Kind::OfflineSale, Kind::PreAuth, Kind::Balance] {
        let ended = check(of(kind), Declined, ResultCode::CardBlacklisted, None);
        assert!(ended.bank.sales.is_empty() && !ended.prompts.contains(&Prompt::EnterPin), "{kind}");
    }
    for kind in [Kind::Void, Kind::Refund] {
        assert_eq!(of(kind).run().told, Some(Approved), "{kind}");
    }
}

/// A chip that could decide alone must ask the bank once what it paid here before reaches the floor limit.
#[test]
fn a_split_sale_asks_the_bank() {
    let spent = |minor| {
        let mut world = World::sale(&[]).lenient();
        world.setup.emv.aids.iter_mut().for_each(|entry| entry.tac_online = [0, 0, 0, 0x80, 0]);
        let sum = crate::domain::money::Amount::from_minor(minor).unwrap();
        world.setup.recent = [(card_on_file().token, sum)].into();
        world.run()
    };
    let (first, split) = (spent(998_749), spent(998_750));
    assert_eq!((first.told, first.bank.sales.len()), (Some(StoredOffline), 0));
    assert_eq!((split.told, split.bank.sales.len()), (Some(Approved), 1));
}

/// "Never a silent second charge": the same card and amount goes on only if somebody says so.
#[test]
fn a_duplicate_is_never_charged_in_silence() {
    for kind in [Kind::Sale, Kind::OfflineSale] {
        let world = || World::of(kind, &[]).with_duplicate();
        assert!(matches!(world().run().told, Some(Approved | StoredOffline)));
        let mut no = world();
        no.says = false;
        let no = check(no, Cancelled, ResultCode::DuplicateSuspected, None);
        assert!(no.bank.sales.is_empty() && !no.prompts.contains(&Prompt::EnterPin));
        let mut nobody = world();
        nobody.agent = false;
        check(nobody, Failed, ResultCode::DuplicateSuspected, None);
        let mut meant = world();
        (meant.setup.allow_duplicate, meant.says) = (true, false);
        assert!(matches!(meant.run().told, Some(Approved | StoredOffline)));
    }
}

/// "Stored: Closed(stored-offline) and its queue entry in one commit before `Finished`": a TC in the first cryptogram.
#[test]
fn a_sale_that_the_chip_approves_is_stored_with_its_upload() {
    for world in [World::sale(&[]).lenient(), World::of(Kind::OfflineSale, &[])] {
        let world = check(world, StoredOffline, ResultCode::OfflineApproved, None);
        assert_eq!(world.disk.log.len(), 1, "one commit");
        assert!(world.bank.sales.is_empty());
        let upload = world.closed().upload.as_ref().unwrap();
        assert_eq!((upload.entry_type, upload.wire.message_type.as_str()), (EntryType::OfflineSale, "36"));
        let objects = de55::objects(&upload.wire.icc).unwrap();
        let code = objects.iter().find(|object| object.tag == de55::RESPONSE_CODE).unwrap();
        assert_eq!(code.value, b"Y1");
        let row = world.disk.row.as_ref().unwrap();
        assert!(row.stan.is_some() && row.approved_amount == row.start.amount);
        assert_eq!(row.plies.len(), 2);
    }
}

/// "no connection on any attempt ... the card is asked as unable to go online": before a Sending nothing else is
/// stored.
#[test]
fn without_a_line_the_chip_may_approve() {
    let world =
        check(World::sale(&[Fault::NoLine(0)]).unable(), StoredOffline, ResultCode::OfflineApproved, None);
    assert_eq!(world.disk.log.len(), 1);
    let upload = world.closed().upload.as_ref().unwrap();
    let objects = de55::objects(&upload.wire.icc).unwrap();
    let value = |tag| objects.iter().find(|object| object.tag == tag).map(|object| object.value);
    assert_eq!(value(de55::RESPONSE_CODE), Some(&b"Y3"[..]));
    let declines = World::sale(&[Fault::NoLine(0), Fault::ChipDeclines]).unable();
    check(declines, Failed, ResultCode::ConnectFailed, None);
    let gone = World::sale(&[Fault::NoLine(0), Fault::Chip(7, ChipFault::Removed)]).unable();
    check(gone, Failed, ResultCode::CardRemoved, None);
}

/// "Unsent: clears the obligation": it is durable before the card is asked, and the number stays the sale's.
#[test]
fn after_a_sending_the_obligation_is_cleared_before_the_chip_is_asked() {
    let faults = [Fault::Bank(0, BankFault::LostBefore), Fault::NoLine(1)];
    let world = check(World::sale(&faults).unable(), StoredOffline, ResultCode::OfflineApproved, None);
    let words: Vec<&str> = world
        .disk
        .log
        .iter()
        .map(|record| match record {
            Record::Sending(_) => "sending",
            Record::Unsent { .. } => "unsent",
            Record::Closed(_) => "closed",
            _ => "other",
        })
        .collect();
    assert_eq!(words, ["sending", "unsent", "closed"]);
    assert_eq!(world.disk.row.as_ref().unwrap().stan.map(|stan| stan.get()), Some(1), "no second number");
}

/// "A request that may have reached the host never becomes an offline approval: it is reversed."
#[test]
fn a_request_that_may_have_arrived_is_reversed_although_the_chip_could_approve() {
    for fault in [BankFault::LostAfterUnseen, BankFault::LostAfterSeen, BankFault::LoseReply] {
        let world = World::sale(&[Fault::Bank(0, fault)]).unable();
        check(world, Unknown, ResultCode::HostTimeout, Some(ReversalReason::NoAnswer));
    }
}

/// "A sale whose card demands online PIN is never stored."
#[test]
fn a_card_that_wants_a_pin_for_the_bank_is_never_stored() {
    let mut sale = World::sale(&[Fault::NoLine(0)]);
    sale.setup.may_store = true;
    check(sale, Failed, ResultCode::ConnectFailed, None);
    let mut offline = World::of(Kind::OfflineSale, &[]);
    offline.chip.card = crate::domain::emv::tests::TestCard::new();
    let offline = check(offline, Declined, ResultCode::DeclinedOffline, None);
    assert!(!offline.prompts.contains(&Prompt::EnterPin));
}

/// A sale that cannot be stored has not happened: the bank never heard of it.
#[test]
fn an_offline_approval_that_cannot_be_kept_is_none() {
    let world = World::sale(&[Fault::Store(0, StoreFault::Twice)]).lenient();
    let world = check(world, Failed, ResultCode::StorageFault, None);
    assert!(!world.disk.owes_upload());
}

/// Voice: the card is only read, the code goes along, and the upload is 0220 with 60.1 = 30.
#[test]
fn a_sale_approved_by_voice_is_told_later() {
    let world = World::of(Kind::OfflineSale, &[]).by_voice();
    let world = check(world, StoredOffline, ResultCode::OfflineApproved, None);
    assert!(!world.chip.said_tc);
    let wire = &world.closed().upload.as_ref().unwrap().wire;
    assert_eq!((wire.mti.as_str(), wire.message_type.as_str()), ("0220", "30"));
    assert!(wire.icc.is_empty());
    let told = world.disk.row.as_ref().unwrap().start.terms.told_auth_code().cloned();
    assert_eq!(told, AuthCode::new("VOICE1").ok());
}

/// "Completion advice ...: queue entries": told later, never asked.
#[test]
fn an_advice_is_told_later() {
    let world = World::of(Kind::PreAuthAdvice, &[]);
    let world = check(world, StoredOffline, ResultCode::OfflineApproved, None);
    let upload = world.closed().upload.as_ref().unwrap();
    assert_eq!((upload.entry_type, upload.wire.message_type.as_str()), (EntryType::Advice, "24"));
    assert_eq!(upload.wire.original, "0000000000001122");
}

/// "A local void is possible only while attempts = 0, in one commit with the removal".
#[test]
fn a_local_void_takes_the_upload_back_or_fails() {
    let world = check(World::of(Kind::Void, &[]).locally(), Approved, ResultCode::Approved, None);
    assert_eq!(world.disk.log.len(), 1, "one commit");
    assert_eq!(world.disk.withdrawn.as_ref().map(|entry| &entry.txn), original().txn.as_ref());
    assert!(world.bank.sales.is_empty());
    let late = World::of(Kind::Void, &[Fault::Attempted]).locally();
    let late = check(late, Failed, ResultCode::OriginalNotEligible, None);
    assert_eq!(late.disk.withdrawn, None);
    let mut denied = World::of(Kind::Void, &[]);
    denied.setup.undo = Undo::Local(None);
    denied.begin();
    while denied.advance() {}
    assert_eq!(denied.told, Some(Approved));
    assert!(denied.bank.sales.is_empty(), "the bank refused the original: nobody is asked");
}

/// "A refused signature starts a linked undo of its own: no card, operator or supervisor asked".
#[test]
fn a_linked_undo_asks_nobody() {
    for kind in [Kind::Void, Kind::PreAuthVoid, Kind::PreAuthCompleteVoid] {
        let mut world = World::of(kind, &[]).linked();
        world.agent = false;
        let world = check(world, Approved, ResultCode::Approved, None);
        let expected = [Prompt::Dialling, Prompt::Processing, Prompt::Receiving];
        assert_eq!(world.prompts, expected, "{kind}");
        let asked = world.bank.asked.as_ref().unwrap();
        assert_eq!((asked.wire.entry_mode.as_str(), asked.expiry.as_deref()), ("012", Some("2912")));
        assert!(asked.track2.is_none() && asked.pin.is_none() && asked.sequence.is_none());
        let card = world.disk.row.as_ref().unwrap().card.clone().unwrap();
        assert_eq!((card.entry_mode, card.signature_required), (EntryMode::Manual, false));
    }
    check(World::of(Kind::Void, &[]).linked().locally(), Approved, ResultCode::Approved, None);
}

/// The profile may let voids go without the card; a number that was wiped must be read again.
#[test]
fn a_void_asks_the_card_as_the_profile_says() {
    let without = |stored| {
        let mut world = World::of(Kind::Void, &[]);
        Arc::make_mut(&mut world.setup.identity.profile).void_needs_card = false;
        world.setup.stored_card = stored;
        world.run()
    };
    let card = Arc::new(super::makings::card_on_file());
    assert!(!without(Some(card)).prompts.contains(&Prompt::InsertCard));
    assert!(without(None).prompts.contains(&Prompt::InsertCard));
    assert!(undoes(Kind::Void) && !undoes(Kind::Refund));
}

/// A card that was only read may leave while the bank is asked; nothing depends on it any more.
#[test]
fn a_card_that_was_only_read_may_leave() {
    let waits: [fn(&State) -> bool; 3] = [
        |state| matches!(state, State::AwaitLine(_)),
        |state| matches!(state, State::AwaitSent(_)),
        |state| matches!(state, State::AwaitHost { .. }),
    ];
    for wait in waits {
        let world = World::of(Kind::Void, &[]).with_stray(wait, super::super::Event::CardRemoved);
        check(world, Approved, ResultCode::Approved, None);
    }
}

/// Who gives no PIN for a completion signs; nobody signs for a refund.
#[test]
fn a_completion_without_a_pin_is_signed() {
    let signs = |kind, pin| {
        let mut world = World::of(kind, &[]);
        Arc::make_mut(&mut world.setup.identity.profile).completion_pin = pin;
        world.run().disk.row.unwrap().card.unwrap().signature_required
    };
    assert!(signs(Kind::PreAuthComplete, false) && !signs(Kind::PreAuthComplete, true));
    assert!(!signs(Kind::Refund, false));
    assert_eq!(start_of(Kind::Balance).amount, Amount::ZERO);
}
