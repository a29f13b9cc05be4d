//! The terminal's ledger against statements: what fits, what differs, what it means.
use crate::domain::settlement::reconcile::{Cause, Record, StatementError, compare, read};

const TERMINAL: &str = "10000001";

fn record(trace: u32, amount: i64) -> Record {
    Record {
        id: format!("order-{trace}"),
        batch: 1,
        trace,
        masked_pan: "622588******5678".to_owned(),
        amount,
        rrn: format!("0930000{trace:05}"),
        moved: true,
        outcome: "approved".to_owned(),
        unresolved: false,
    }
}

/// Each difference is named with the sum that it explains; together they are the whole difference.
#[test]
fn every_line_that_differs_is_named_with_its_cause() {
    let reversed = Record { moved: false, outcome: "reversed".to_owned(), ..record(4, 400) };
    let open = Record { moved: false, unresolved: true, outcome: "unknown".to_owned(), ..record(5, 500) };
    let refund = record(8, -80);
    let records = [record(1, 100), record(2, 200), record(3, 300), reversed, open, record(6, 600), refund];
    let statement = "\
Terminal ID,Batch No,Trace,Date,Time,Card No,Type,Amount,RRN,Auth Code,Response Code
10000001,000001,000001,20260115,093105,622588******5678,SALE,1.00,093000000001,A12345,00
10000001,000001,000003,20260115,093105,622588******5678,SALE,3.10,093000000003,A12345,00
10000001,000001,000004,20260115,093105,622588******5678,SALE,4.00,093000000004,A12345,00
10000001,000001,000005,20260115,093105,622588******5678,SALE,5.00,,A12345,00
10000001,000001,000006,20260115,093105,622588******9999,SALE,6.00,093000000006,A12345,00
10000001,000001,000007,20260115,093105,622588******5678,SALE,7.00,093000000007,A12345,00
10000001,000001,000001,20260115,093105,622588******5678,SALE,1.00,093000000001,A12345,00
10000001,000001,000008,20260115,093105,622588******5678,REFUND,0.80,093000000008,,00
10000001,000001,000009,20260115,093105,622588******5678,SALE,9.00,093000000009,A12345,51
10000002,000001,000002,20260115,093105,622588******5678,SALE,2.00,093000000002,A12345,00
";
    let found = compare(&records, &read(statement, 2).unwrap(), TERMINAL);
    let told: Vec<(u32, Cause, i64)> = found
        .differences
        .iter()
        .map(|d| {
            let trace = d.record.as_ref().map(|r| r.trace).or(d.line.as_ref().map(|l| l.trace)).unwrap();
            (trace, d.cause, d.amount)
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, Cause::Twice, 100),
            (2, Cause::MissingAtBank, -200),
            (3, Cause::Amount, 10),
            (4, Cause::BookedAtBank, 400),
            (5, Cause::Unresolved, 500),
            (6, Cause::Card, 0),
            (7, Cause::Unknown, 700),
        ]
    );
    assert_eq!(found.matched, 2);
    let explained: i64 = found.differences.iter().map(|d| d.amount).sum();
    assert_eq!(explained, found.bank_sum - found.terminal_sum, "the differences explain the sums");
}

/// The same file as a Chinese acquirer writes it: other names, other order, a sum at the end.
#[test]
fn chinese_headings_and_sums_are_understood() {
    let statement = "\u{FEFF}序号,交易日期,交易时间,终端编号,批次号,凭证号,卡号,交易类型,交易金额(元),参考号,交易状态\r\n\
        1,2026-01-15,09:31:05,10000001,1,1,622588******5678,消费,\"1,250.00\",093000000001,成功\r\n\
        2,2026-01-15,09:32:05,10000001,1,2,622588******5678,消费撤销,2.5,093000000002,成功\r\n\
        \r\n合计,,,,,,,,\"1,247.50\",,\r\n";
    let lines = read(statement, 2).unwrap();
    assert_eq!(lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [125_000, -250]);
    assert_eq!((lines[0].number, lines[0].date.as_str()), (2, "2026-01-15 09:31:05"));
    let found = compare(&[record(1, 125_000), record(2, -250)], &lines, TERMINAL);
    assert_eq!((found.matched, found.differences.len()), (2, 0));
}

/// A file that cannot be a statement says why, with the line.
#[test]
fn a_broken_statement_is_refused_with_the_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(read(text, 2).unwrap_err().to_string(), expected);
    };
    assert_eq!(read("", 2), Err(StatementError::NoColumn("trace")));
    check(
        "date,amount\n",
        "the first line names no column trace; it must have trace and amount (流水号, 金额)",
    );
    check("trace,amount\n1,1.00\nx,1.00\n", "line 3: the trace is no number");
    check("trace,amount\n1,1.005\n", "line 2: the amount is no amount");
    check("trace,amount,batch\n1,1,first\n", "line 2: the batch is no number");
}

#[test]
fn every_cause_has_words_and_a_next_step_in_both_languages() {
    for cause in [
        Cause::MissingAtBank,
        Cause::BookedAtBank,
        Cause::Unresolved,
        Cause::Amount,
        Cause::Card,
        Cause::Unknown,
        Cause::Twice,
    ] {
        let ((zh, en), (step_zh, step_en)) = (cause.words(), cause.action());
        assert!(!zh.is_ascii() && en.is_ascii() && !step_zh.is_ascii() && step_en.is_ascii());
    }
}
