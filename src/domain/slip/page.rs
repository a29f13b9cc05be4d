//! Paper that tells of no transaction: the test page, and a shop's own slips.
//!
//! They go through the same layout as a slip, so no text of an application becomes a command or leaves the line.
use super::Shop;
use crate::domain::calendar::LocalTime;
use crate::domain::receipt::{Align, Block, Document, columns};
use crate::domain::slip::Language;

/// What the test page says of the printer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrinterFacts<'a> {
    /// As the printer tells; may be empty.
    pub model: &'a str,
    /// Where it is.
    pub device: &'a str,
    /// How much it can prove, a word of the bus.
    pub evidence: &'a str,
    /// Dots on a line.
    pub dots: u32,
}

/// A slip of the shop's own: its lines as they are, then a cut.
#[must_use]
pub fn own_slip(text: &str) -> Document {
    Document { blocks: vec![Block::text(text), Block::Cut] }
}

/// The document again, marked as a reprint at its head.
#[must_use]
pub fn marked(mut document: Document, language: Language) -> Document {
    document.blocks.insert(0, mark(language));
    document
}

/// What stands under the title of paper that is not the one and only: from a terminal in test mode, or printed again.
pub(in crate::domain) fn marks(shop: &Shop, copy: bool) -> Vec<Block> {
    let words = match shop.language {
        Language::Zh => "测试/TESTING, 凭证无效",
        Language::En => "TESTING, NOT A RECEIPT",
    };
    let testing = shop.testing.then(|| Block::centred(words, false, true));
    testing.into_iter().chain(copy.then(|| mark(shop.language))).collect()
}

/// 重打印, as each reprint has it.
fn mark(language: Language) -> Block {
    let words = match language {
        Language::Zh => "****重打印/DUPLICATED****",
        Language::En => "****DUPLICATED****",
    };
    Block::centred(words, false, true)
}

/// The test page: who printed it, what is known of the printer, and one line for each thing that cheap printers get
/// wrong, each line saying how it must look.
///
/// `at` is the time in the terminal's zone.
#[must_use]
pub fn test_page(shop: &Shop, printer: PrinterFacts<'_>, at: LocalTime) -> Document {
    let zh = shop.language == Language::Zh;
    let mut blocks = Vec::new();
    if zh {
        blocks.push(Block::centred("打印测试页", true, true));
    }
    blocks.push(Block::centred("PRINTER TEST PAGE", !zh, true));
    let warning = if zh { "非交易凭证 NOT A RECEIPT" } else { "NOT A RECEIPT" };
    blocks.push(Block::centred(warning, false, false));
    blocks.push(Block::Rule);
    let mut pair = |zh_label: &str, en_label: &str, value: &str| {
        if !value.is_empty() {
            let label = if zh { format!("{zh_label} {en_label}") } else { en_label.to_owned() };
            blocks.push(Block::pair(label, value));
        }
    };
    pair("商户名称", "MERCHANT", &shop.merchant_name);
    pair("终端编号", "TID", shop.terminal_id.as_str());
    pair("日期", "DATE", &at.to_string());
    pair("打印机", "PRINTER", printer.model);
    pair("接口", "DEVICE", printer.device);
    pair("打印证明", "EVIDENCE", printer.evidence);
    pair("行宽", "WIDTH", &format!("{} dots", printer.dots));
    blocks.push(Block::Rule);
    blocks.extend(samples(zh, columns(printer.dots) as usize));
    blocks.push(Block::Cut);
    Document { blocks }
}

/// One line for each thing that is looked at.
fn samples(zh: bool, width: usize) -> Vec<Block> {
    // Its last digit stands at the right edge, or the width is set wrongly.
    let ruler: String = "1234567890".chars().cycle().take(width).collect();
    let aligned =
        |text: &str, align| Block::Text { text: text.to_owned(), align, double: false, bold: false };
    let mut blocks = vec![Block::text(ruler)];
    blocks.push(aligned("<- LEFT", Align::Left));
    blocks.push(aligned("CENTRE", Align::Centre));
    blocks.push(aligned("RIGHT ->", Align::Right));
    blocks.push(Block::Text { text: "BOLD".to_owned(), align: Align::Left, double: false, bold: true });
    blocks.push(Block::Text { text: "DOUBLE".to_owned(), align: Align::Left, double: true, bold: false });
    blocks.push(Block::text("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"));
    if zh {
        blocks.push(Block::Pair {
            label: "金额 AMOUNT".to_owned(),
            value: "RMB 0.00".to_owned(),
            double: true,
        });
        blocks.push(Block::text("常用字 一二三四五六七八九十￥元"));
        // In GBK but not in GB2312; then of four bytes in GB18030, which few printers know.
        blocks.push(Block::text("生僻字 镕堃喆 㛃䶮㐱"));
        blocks.push(Block::text("若有方框或问号, 请设置 chinese = \"raster\"。"));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::receipt::{Line, lines, text};

    #[test]
    fn a_shops_own_slip_keeps_its_lines_and_loses_its_commands() {
        let document = own_slip("寄存牌 17\n\u{1b}@\u{1d}V\0谢谢");
        assert_eq!(text(&document, 16), "寄存牌 17\n@V谢谢\n- - - - - - - -\n");
        let again = marked(document, Language::Zh);
        assert!(text(&again, 32).starts_with("   ****重打印/DUPLICATED****\n寄存牌 17\n"));
    }

    /// The ruler ends at the edge of the paper, whatever the width.
    #[test]
    fn the_ruler_is_as_wide_as_the_paper() {
        for width in [16_usize, 32, 48] {
            let laid = lines(&Document { blocks: samples(true, width) }, u32::try_from(width).unwrap());
            let Some(Line::Row(row)) = laid.first() else { panic!("no ruler") };
            assert_eq!(row.cells(), width);
        }
    }
}
