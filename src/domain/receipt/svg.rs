//! The slip as a picture for screens: a self-contained SVG on the same cell grid as paper, with no font in it.
use super::layout::{Line, Row, cells, lines};
use super::{Align, Bitmap, CELL_DOTS, Document, columns};

const MARGIN: usize = 24;
const CELL: usize = CELL_DOTS as usize;
const WIDE_DOTS: usize = 24;
/// Common monospaced fonts are 0.6 of their size wide: this fills a cell even where `textLength` is not known.
const ASCII_DOTS: usize = 20;
const LINE_DOTS: usize = 30;
const FONTS: &str = "'Noto Sans Mono CJK SC','WenQuanYi Micro Hei Mono','Source Han Mono SC',monospace";

/// Draws the document for a line of so many dots, one user unit a dot, on white with a margin.
///
/// Each run of ASCII or of wide characters is spaced out to its cells, so that columns stand under each other whatever
/// monospaced font the viewer has.
#[must_use]
pub fn svg(document: &Document, dots_per_line: u32) -> String {
    let columns = columns(dots_per_line);
    let width = columns as usize * CELL;
    let mut body = String::new();
    let mut y = MARGIN;
    for line in lines(document, columns) {
        match line {
            Line::Row(row) => {
                let scale = if row.double { 2 } else { 1 };
                y = y.saturating_add(LINE_DOTS * scale);
                add_row(&mut body, &row, scale, width, y);
            }
            Line::Picture(picture) => {
                add_picture(&mut body, &picture.dots, width, y);
                y = y.saturating_add(picture.dots.height() as usize);
            }
            Line::Cut => {
                y = y.saturating_add(LINE_DOTS);
                let (middle, right) = (y.saturating_sub(LINE_DOTS / 2), width + 2 * MARGIN);
                body.push_str(&format!(
                    "<path d=\"M0 {middle}H{right}\" stroke=\"#999\" stroke-dasharray=\"8 6\"/>\n"
                ));
            }
        }
    }
    let (full_width, height) = (width + 2 * MARGIN, y.saturating_add(MARGIN));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full_width}\" height=\"{height}\" \
         viewBox=\"0 0 {full_width} {height}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <g font-family=\"{FONTS}\" fill=\"#111\" xml:space=\"preserve\">\n{body}</g>\n</svg>\n"
    )
}

fn add_row(body: &mut String, row: &Row, scale: usize, width: usize, y: usize) {
    let free = width.saturating_sub(row.cells().saturating_mul(CELL));
    let mut x = MARGIN.saturating_add(match row.align {
        Align::Left => 0,
        Align::Centre => free / 2,
        Align::Right => free,
    });
    let baseline = y.saturating_sub(LINE_DOTS * scale / 5);
    let weight = if row.bold { " font-weight=\"bold\"" } else { "" };
    for run in runs(&row.text) {
        let size = scale * if run.is_ascii() { ASCII_DOTS } else { WIDE_DOTS };
        let length = cells(&run).saturating_mul(CELL * scale);
        if !run.trim().is_empty() {
            body.push_str(&format!(
                "<text x=\"{x}\" y=\"{baseline}\" font-size=\"{size}\"{weight} textLength=\"{length}\" \
                     lengthAdjust=\"spacing\">{}</text>\n",
                escape(&run)
            ));
        }
        x = x.saturating_add(length);
    }
}

/// Black runs of each row of dots, as one path.
fn add_picture(body: &mut String, dots: &Bitmap, width: usize, y: usize) {
    let left = MARGIN.saturating_add(width.saturating_sub(dots.width() as usize) / 2);
    let mut path = String::new();
    for row in 0..dots.height() {
        let mut x = 0;
        while x < dots.width() {
            let run = (x..dots.width()).take_while(|at| dots.is_black(*at, row)).count();
            if run > 0 {
                let (at, line) = (left.saturating_add(x as usize), y.saturating_add(row as usize));
                path.push_str(&format!("M{at} {line}h{run}v1h-{run}z"));
            }
            x = x.saturating_add(u32::try_from(run).unwrap_or(u32::MAX)).saturating_add(1);
        }
    }
    if !path.is_empty() {
        body.push_str(&format!("<path d=\"{path}\"/>\n"));
    }
}

/// Splits where spaces, other ASCII and wide characters meet. Spaces stand alone: viewers that fold them then cannot
/// stretch their neighbours.
fn runs(text: &str) -> Vec<String> {
    let class = |c: char| {
        if c == ' ' {
            0
        } else if c.is_ascii() {
            1
        } else {
            2
        }
    };
    let mut runs: Vec<String> = Vec::new();
    let mut last = None;
    for c in text.chars() {
        match runs.last_mut() {
            Some(run) if last == Some(class(c)) => run.push(c),
            _ => runs.push(c.to_string()),
        }
        last = Some(class(c));
    }
    runs
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::Block;
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_markup_is_escaped() {
        let blocks = vec![Block::pair("批次号<&>", "000001"), Block::centred("A\"B", true, true), Block::Cut];
        let drawn = svg(&Document { blocks }, 384);
        let value = "<text x=\"336\" y=\"48\" font-size=\"20\" textLength=\"72\" \
                     lengthAdjust=\"spacing\">000001</text>";
        assert!(drawn.contains(value), "{drawn}");
        assert!(drawn.contains(">批次号</text>") && drawn.contains(">&lt;&amp;&gt;</text>"), "{drawn}");
        assert!(drawn.contains("x=\"180\" y=\"102\" font-size=\"40\" font-weight=\"bold\""), "{drawn}");
        assert!(drawn.contains(">A&quot;B</text>") && drawn.contains("stroke-dasharray"), "{drawn}");
    }
}
