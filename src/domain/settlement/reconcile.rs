//! Reconciliation (对账) line by line: the terminal's ledger against an acquirer's statement, when the totals differ and
//! the bank says no more than that they do.
//!
//! A pure comparison of two lists. The statement is CSV with a heading line; the columns are found by their names, in
//! Chinese or English, in any order: terminal, batch, trace, date, time, card number (masked), kind or processing code,
//! amount, RRN, authorisation code, response. Trace and amount must be there; the rest only makes matches surer.
//! Choice: no acquirer's file format is public, so that names are taken as exports of Chinese acquirers have them.
use core::fmt;
use std::collections::BTreeMap;

/// A statement may have so many lines: a year of full batches.
pub const LINES_MAX: usize = 400_000;

/// One line of the statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Line number in the file, for people.
    pub number: usize,
    /// DE 41; empty where the statement has none.
    pub terminal: String,
    /// DE 60.2.
    pub batch: Option<u32>,
    /// DE 11.
    pub trace: u32,
    /// Digits of the date as it stands there.
    pub date: String,
    /// The card as it stands there; only its first six and last four digits are used.
    pub card: String,
    /// What is written of the kind, as it stands there.
    pub kind: String,
    /// Minor units; negative for money that went back.
    pub amount: i64,
    /// DE 37.
    pub rrn: String,
    /// DE 38.
    pub auth_code: String,
    /// DE 39; empty where the statement lists successes only.
    pub response: String,
}

/// A record of the ledger, as far as the comparison needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Object path or id, for the answer.
    pub id: String,
    /// Batch.
    pub batch: u32,
    /// STAN.
    pub trace: u32,
    /// First six and last four digits.
    pub masked_pan: String,
    /// Minor units approved; negative for money that went back.
    pub amount: i64,
    /// DE 37.
    pub rrn: String,
    /// The terminal holds that the money moved.
    pub moved: bool,
    /// The outcome in the word of the bus.
    pub outcome: String,
    /// It waits for the bank or the shop: a reversal or an upload that is not done.
    pub unresolved: bool,
}

/// Why two lists differ in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The bank has no line for a record that moved money.
    MissingAtBank,
    /// The bank has a line for a record that the terminal holds not to have moved money.
    BookedAtBank,
    /// The bank has a line for a record that the terminal has not resolved.
    Unresolved,
    /// Both have it, with different amounts.
    Amount,
    /// Both have the number, with different cards.
    Card,
    /// The bank has a line of which the terminal knows nothing.
    Unknown,
    /// The bank has two lines for one record.
    Twice,
}

impl Cause {
    /// What it is, in Chinese and English.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::MissingAtBank => ("银行无此交易", "the bank has no such line"),
            Self::BookedAtBank => {
                ("终端未成功, 银行已入账", "the terminal did not count it, the bank has booked it")
            }
            Self::Unresolved => ("终端结果不明, 银行已入账", "open at the terminal, booked at the bank"),
            Self::Amount => ("金额不一致", "the amounts differ"),
            Self::Card => ("卡号不一致", "the cards differ"),
            Self::Unknown => ("终端无此交易", "the terminal knows nothing of it"),
            Self::Twice => ("银行重复入账", "the bank has booked it twice"),
        }
    }

    /// What to do about it, in Chinese and English.
    #[must_use]
    pub const fn action(self) -> (&'static str, &'static str) {
        match self {
            Self::MissingAtBank => {
                ("凭签购单向收单行申请补账", "show the slip to the acquirer and ask it to book the sale")
            }
            Self::BookedAtBank => (
                "持卡人可能被扣款, 请收单行退款",
                "the cardholder may have paid: ask the acquirer to give the money back",
            ),
            Self::Unresolved => (
                "用 posctl queue resolve 标记为已付",
                "resolve the entry as paid (posctl queue resolve), or ask for a refund",
            ),
            Self::Amount => ("核对签购单后联系收单行", "compare the slip, then call the acquirer"),
            Self::Card => ("终端号或日期可能不符, 请核对文件", "check that file, terminal and day are right"),
            Self::Unknown => {
                ("核对终端号, 再联系收单行", "check the terminal number, then call the acquirer")
            }
            Self::Twice => ("请收单行退还一笔", "ask the acquirer to take one of them back"),
        }
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Why.
    pub cause: Cause,
    /// The terminal's record.
    pub record: Option<Record>,
    /// The bank's line.
    pub line: Option<Line>,
    /// What it explains of the difference of the sums, bank minus terminal, minor units.
    pub amount: i64,
}

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Records and lines that fit.
    pub matched: usize,
    /// The rest, ordered by batch and trace.
    pub differences: Vec<Difference>,
    /// Sum of the terminal's records that moved money.
    pub terminal_sum: i64,
    /// Sum of the bank's lines.
    pub bank_sum: i64,
}

/// Compares. Lines of other terminals and refused ones are left out before.
#[must_use]
pub fn compare(records: &[Record], lines: &[Line], terminal: &str) -> Comparison {
    let ours = |line: &&Line| line.terminal.is_empty() || line.terminal == terminal;
    let lines: Vec<&Line> = lines.iter().filter(ours).filter(|line| line.is_success()).collect();
    let mut found = Comparison {
        terminal_sum: records.iter().filter(|record| record.moved).map(|record| record.amount).sum(),
        bank_sum: lines.iter().map(|line| line.amount).sum(),
        ..Comparison::default()
    };
    let index = Index::of(records);
    let mut taken = vec![false; records.len()];
    for line in lines {
        let Some((at, record)) = index.find(records, line).and_then(|at| Some((at, records.get(at)?))) else {
            found.differs(Cause::Unknown, None, Some(line), line.amount);
            continue;
        };
        let again = taken.get_mut(at).is_some_and(|taken| core::mem::replace(taken, true));
        let (cause, amount) = match record {
            _ if again => (Some(Cause::Twice), line.amount),
            record if !record.same_card(line) => {
                let counted = if record.moved { record.amount } else { 0 };
                (Some(Cause::Card), line.amount.saturating_sub(counted))
            }
            record if record.unresolved && !record.moved => (Some(Cause::Unresolved), line.amount),
            record if !record.moved => (Some(Cause::BookedAtBank), line.amount),
            record if record.amount != line.amount => {
                (Some(Cause::Amount), line.amount.saturating_sub(record.amount))
            }
            _ => (None, 0),
        };
        match cause {
            Some(cause) => found.differs(cause, Some(record), Some(line), amount),
            None => found.matched = found.matched.saturating_add(1),
        }
    }
    for (record, taken) in records.iter().zip(taken) {
        if record.moved && !taken {
            found.differs(Cause::MissingAtBank, Some(record), None, record.amount.saturating_neg());
        }
    }
    found.differences.sort_by_key(|difference| {
        let record = difference.record.as_ref().map(|record| (record.batch, record.trace));
        let line = difference.line.as_ref().map(|line| (line.batch.unwrap_or(0), line.trace));
        (record.or(line), difference.cause)
    });
    found
}

impl Comparison {
    fn differs(&mut self, cause: Cause, record: Option<&Record>, line: Option<&Line>, amount: i64) {
        let (record, line) = (record.cloned(), line.cloned());
        self.differences.push(Difference { cause, record, line, amount });
    }
}

/// The records by what a line may call them.
struct Index<'a> {
    by_rrn: BTreeMap<&'a str, usize>,
    by_number: BTreeMap<(u32, u32), usize>,
    /// By STAN alone, for statements that name no batch; the newest has it.
    by_trace: BTreeMap<u32, usize>,
}

impl<'a> Index<'a> {
    fn of(records: &'a [Record]) -> Self {
        let all = || records.iter().enumerate();
        Self {
            by_rrn: all().filter(|(_, r)| !r.rrn.is_empty()).map(|(at, r)| (r.rrn.as_str(), at)).collect(),
            by_number: all().map(|(at, r)| ((r.batch, r.trace), at)).collect(),
            by_trace: all().map(|(at, r)| (r.trace, at)).collect(),
        }
    }

    /// By RRN where both have one, else by batch and trace.
    fn find(&self, records: &[Record], line: &Line) -> Option<usize> {
        if let Some(at) = self.by_rrn.get(line.rrn.as_str()) {
            return Some(*at);
        }
        let at = match line.batch {
            Some(batch) => self.by_number.get(&(batch, line.trace)),
            None => self.by_trace.get(&line.trace),
        };
        let named = |at: &usize| records.get(*at).is_some_and(|record| !record.rrn.is_empty());
        at.copied().filter(|at| line.rrn.is_empty() || !named(at))
    }
}

impl Record {
    fn same_card(&self, line: &Line) -> bool {
        let ends = |card: &str| {
            let digits: String = card.chars().filter(|c| !c.is_whitespace()).collect();
            let tail = digits.len().checked_sub(4).and_then(|at| digits.get(at..)).map(str::to_owned);
            tail.filter(|tail| tail.bytes().all(|byte| byte.is_ascii_digit()))
        };
        match (ends(&self.masked_pan), ends(&line.card)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        }
    }
}

impl Line {
    fn is_success(&self) -> bool {
        let words = ["00", "0", "成功", "交易成功", "SUCCESS", "APPROVED"];
        self.response.is_empty() || words.iter().any(|word| word.eq_ignore_ascii_case(&self.response))
    }
}

/// Why a file is not a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// No heading with the columns that are needed.
    #[error("the first line names no column {0}; it must have trace and amount (流水号, 金额)")]
    NoColumn(&'static str),
    /// A line that cannot be read.
    #[error("line {line}: {what}")]
    Line {
        /// Which.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Too long.
    #[error("more than {LINES_MAX} lines; cut the file by day")]
    TooLong,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Terminal,
    Batch,
    Trace,
    Date,
    Time,
    Card,
    Kind,
    Amount,
    Rrn,
    AuthCode,
    Response,
}

/// Names of columns as they are met, without blanks and in lower case.
const NAMES: &[(Column, &[&str])] = &[
    (Column::Terminal, &["terminal", "terminalid", "tid", "终端号", "终端编号", "终端"]),
    (Column::Batch, &["batch", "batchno", "批次号", "批次"]),
    (Column::Trace, &["trace", "stan", "traceno", "voucher", "流水号", "凭证号", "终端流水号", "系统跟踪号"]),
    (Column::Date, &["date", "transactiondate", "日期", "交易日期", "清算日期"]),
    (Column::Time, &["time", "transactiontime", "时间", "交易时间"]),
    (Column::Card, &["card", "cardno", "pan", "maskedpan", "卡号", "交易卡号"]),
    (Column::Kind, &["kind", "type", "processingcode", "交易类型", "类型", "处理码", "交易码"]),
    (Column::Amount, &["amount", "金额", "交易金额", "交易金额(元)", "金额(元)"]),
    (Column::Rrn, &["rrn", "reference", "参考号", "检索参考号", "交易参考号", "系统参考号"]),
    (Column::AuthCode, &["auth", "authcode", "授权码", "授权号"]),
    (Column::Response, &["response", "responsecode", "应答码", "返回码", "交易状态", "状态"]),
];

/// Reads a statement. `decimals` of the currency; amounts are in major units (`12.50`), and an integer is taken as
/// such. UTF-8, with or without a byte order mark; fields may stand in double quotes; blank lines and lines of sums
/// (without a trace number) are skipped.
///
/// # Errors
/// [`StatementError`] names the line and what is wrong with it.
pub fn read(text: &str, decimals: u8) -> Result<Vec<Line>, StatementError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, heading) = lines.next().ok_or(StatementError::NoColumn("trace"))?;
    let separator = if heading.contains('\t') { '\t' } else { ',' };
    let columns: Vec<Option<Column>> = fields(heading, separator).iter().map(|name| column(name)).collect();
    for (needed, name) in [(Column::Trace, "trace"), (Column::Amount, "amount")] {
        if !columns.contains(&Some(needed)) {
            return Err(StatementError::NoColumn(name));
        }
    }
    let mut read = Vec::new();
    for (at, line) in lines {
        if read.len() >= LINES_MAX {
            return Err(StatementError::TooLong);
        }
        let number = at.saturating_add(1);
        read.extend(one(number, &fields(line, separator), &columns, decimals)?);
    }
    Ok(read)
}

fn one(
    number: usize,
    fields: &[String],
    columns: &[Option<Column>],
    decimals: u8,
) -> Result<Option<Line>, StatementError> {
    let get = |wanted: Column| {
        let at = columns.iter().position(|column| *column == Some(wanted));
        at.and_then(|at| fields.get(at)).map(|field| field.trim().trim_matches('\'')).unwrap_or_default()
    };
    let bad = |what| StatementError::Line { line: number, what };
    if get(Column::Trace).is_empty() {
        return Ok(None);
    }
    let digits = |text: &str, what| text.parse::<u32>().map_err(|_| bad(what));
    let batch = match get(Column::Batch) {
        "" => None,
        text => Some(digits(text, "the batch is no number")?),
    };
    let kind = get(Column::Kind);
    let amount = amount(get(Column::Amount), decimals).ok_or_else(|| bad("the amount is no amount"))?;
    Ok(Some(Line {
        number,
        terminal: get(Column::Terminal).to_owned(),
        batch,
        trace: digits(get(Column::Trace), "the trace is no number")?,
        date: [get(Column::Date), get(Column::Time)].join(" ").trim().to_owned(),
        card: get(Column::Card).to_owned(),
        kind: kind.to_owned(),
        amount: if goes_back(kind) && amount > 0 { amount.saturating_neg() } else { amount },
        rrn: get(Column::Rrn).to_owned(),
        auth_code: get(Column::AuthCode).to_owned(),
        response: get(Column::Response).to_owned(),
    }))
}

/// Voids and refunds, by word or by DE 3 (20xxxx).
fn goes_back(kind: &str) -> bool {
    let lower = kind.to_lowercase();
    let words = ["void", "refund", "撤销", "退货", "退款"];
    words.iter().any(|word| lower.contains(word)) || (kind.len() == 6 && kind.starts_with("20"))
}

fn column(name: &str) -> Option<Column> {
    let plain: String = name
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-'))
        .collect::<String>()
        .to_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(column, _)| *column)
}

/// Splits a line at its separator; a field in double quotes may hold it, and a doubled quote is one.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => push(&mut all, '"'),
            '"' => quoted = !quoted,
            c if c == separator && !quoted => all.push(String::new()),
            c => push(&mut all, c),
        }
    }
    all
}

fn push(all: &mut [String], c: char) {
    if let Some(last) = all.last_mut() {
        last.push(c);
    }
}

/// `-1,250.00`, `12.5` or `12` in major units, as minor units.
fn amount(text: &str, decimals: u8) -> Option<i64> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | ' ' | '¥' | '￥' | '+')).collect();
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.as_str()),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let places = usize::from(decimals);
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || rest.len() > places || !all_digits(whole) || !all_digits(rest) {
        return None;
    }
    let minor: i64 = format!("{whole}{rest:0<places$}").parse().ok()?;
    Some(minor.saturating_mul(sign))
}

impl fmt::Display for Cause {
    /// English; [`Cause::words`] has both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}
