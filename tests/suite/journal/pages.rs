//! Pages and lookups.
use super::*;

/// Pages run from the newest to the oldest, each row once, also where times are equal and rows arrive in
/// between.
#[test]
fn pages_show_each_row_once() {
    let (_dir, mut journal) = new_journal();
    for n in 0..23 {
        let mut end = closed(&format!("t{n}"), Outcome::Cancelled, ResultCode::OperatorCancelled, None);
        end.start = Some(start(&format!("t{n}"), n / 4));
        commit(&mut journal, close(end));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (rows, next) = journal.query(&TxnFilter::default(), 5, &cursor).unwrap();
        seen.extend(rows.iter().map(|r| r.start.request_id.as_str().to_owned()));
        let mut late =
            closed(&format!("late{}", seen.len()), Outcome::Cancelled, ResultCode::OperatorCancelled, None);
        late.start = Some(start(&format!("late{}", seen.len()), 1000));
        commit(&mut journal, close(late));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    let expected: Vec<_> = (0..23).rev().map(|n| format!("t{n}")).collect();
    assert_eq!(seen, expected);
    let error = journal.query(&TxnFilter::default(), 5, "p1-zz").unwrap_err();
    assert!(matches!(error, JournalError::Unusable(_)));
}

/// Every filter key narrows the answer; together they must all hold.
#[test]
fn filters_narrow_the_answer() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(approved("a")));
    commit(&mut journal, sending("b", 20));
    let mut end = closed("c", Outcome::Cancelled, ResultCode::OperatorCancelled, None);
    end.start =
        Some(TxnStart { operator: OperatorId::new("02").unwrap(), kind: Kind::Balance, ..start("c", 30) });
    commit(&mut journal, close(end));
    let mut check = |filter: TxnFilter, names: &[&str]| {
        let (rows, next) = journal.query(&filter, 1000, "").unwrap();
        let found: Vec<_> = rows.iter().map(|r| r.start.request_id.as_str()).collect();
        assert_eq!((found.as_slice(), next.as_str()), (names, ""), "{filter:?}");
    };
    let all = TxnFilter::default;
    check(all(), &["c", "b", "a"]);
    check(TxnFilter { batch: Some(1), ..all() }, &["c", "b", "a"]);
    check(TxnFilter { batch: Some(2), ..all() }, &[]);
    check(TxnFilter { trace: Some(2), ..all() }, &["b"]);
    check(TxnFilter { kind: Some(Kind::Sale), ..all() }, &["b", "a"]);
    check(TxnFilter { outcome: Some(Outcome::None), ..all() }, &["b"]);
    check(TxnFilter { operator: Some("02".to_owned()), ..all() }, &["c"]);
    check(TxnFilter { from: Some(at(20)), to: Some(at(30)), ..all() }, &["b"]);
    check(TxnFilter { to: Some(WallTime(u64::MAX)), ..all() }, &["c", "b", "a"]);
    check(TxnFilter { card_token: Some(card().token.clone()), ..all() }, &["b", "a"]);
    check(TxnFilter { request_id: Some("a".to_owned()), kind: Some(Kind::Sale), ..all() }, &["a"]);
    check(TxnFilter { request_id: Some("a' OR '1'='1".to_owned()), ..all() }, &[]);
}
