//! Rows that fit into a terminal of 80 columns, with Chinese characters counted as two.
use crate::cli::screen::{Screen, Tone, columns};
use crate::domain::text::Bilingual;

/// Columns of what is written, unless the terminal says otherwise.
const WIDTH: usize = 80;

/// Columns of the terminal, within reason.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|wide| *wide >= 60).unwrap_or(WIDTH).min(120)
}

/// Rows of one answer.
pub(super) struct Page<'a> {
    screen: &'a Screen,
    width: usize,
    text: String,
}

/// One row.
#[derive(Default)]
pub(super) struct Row<'a> {
    /// Columns before everything.
    pub(super) indent: usize,
    /// Number or tag, and how wide its column is.
    pub(super) key: (&'a str, usize),
    /// Name, and how wide its column is.
    pub(super) name: (&'a str, usize),
    /// The value as it is.
    pub(super) value: &'a str,
    /// What it says, dim behind it or under it.
    pub(super) meaning: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn new(screen: &'a Screen) -> Self {
        Self { screen, width: width(), text: String::new() }
    }

    /// The text in the chosen language.
    pub(super) fn say(&self, text: &Bilingual) -> String {
        self.screen.bilingual(text)
    }

    /// Puts a row: value and meaning stand beside the name where they fit, else under it.
    pub(super) fn row(&mut self, row: &Row<'_>) {
        let value = row.value;
        let mut line = " ".repeat(row.indent);
        let mut used = row.indent;
        for (text, wide) in [row.key, row.name] {
            if wide > 0 {
                let wide = wide.max(columns(text));
                line.push_str(text);
                line.push_str(&" ".repeat(wide.saturating_sub(columns(text)).saturating_add(2)));
                used = used.saturating_add(wide).saturating_add(2);
            }
        }
        let under = row.indent.saturating_add(row.key.1).saturating_add(2);
        if used.saturating_add(columns(value)) <= self.width {
            line.push_str(value);
            used = used.saturating_add(columns(value));
        } else {
            self.end(&line);
            let mut pieces = folded(value, self.width.saturating_sub(under));
            let last = pieces.pop().unwrap_or_default();
            for piece in pieces {
                self.end(&format!("{}{piece}", " ".repeat(under)));
            }
            used = under.saturating_add(columns(&last));
            line = format!("{}{last}", " ".repeat(under));
        }
        if row.meaning.is_empty() {
            return self.end(&line);
        }
        let meaning = row.meaning;
        if used.saturating_add(2).saturating_add(columns(meaning)) <= self.width {
            let gap = if value.is_empty() { "" } else { "  " };
            return self.end(&format!("{line}{gap}{}", self.screen.tone(Tone::Dim, meaning)));
        }
        self.end(&line);
        for piece in folded(meaning, self.width.saturating_sub(under)) {
            let piece = self.screen.tone(Tone::Dim, &piece);
            self.end(&format!("{}{piece}", " ".repeat(under)));
        }
    }

    /// Puts lines of meaning under a row, a dot before each.
    pub(super) fn dots(&mut self, indent: usize, lines: &[Bilingual]) {
        for line in lines {
            let text = self.say(line);
            for (at, piece) in
                folded(&text, self.width.saturating_sub(indent.saturating_add(2))).iter().enumerate()
            {
                let dot = if at == 0 { "· " } else { "  " };
                let piece = self.screen.tone(Tone::Dim, piece);
                self.end(&format!("{}{dot}{piece}", " ".repeat(indent)));
            }
        }
    }

    /// Puts a line in a colour.
    pub(super) fn line(&mut self, tone: Option<Tone>, text: &str) {
        for piece in folded(text, self.width) {
            let piece = tone.map_or_else(|| piece.clone(), |tone| self.screen.tone(tone, &piece));
            self.end(&piece);
        }
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn end(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// Breaks a text into lines of so many columns, at blanks where there are some.
fn folded(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0_usize);
    for c in text.chars() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        if used.saturating_add(wide) > width && !line.is_empty() {
            let (head, tail) = match line.rsplit_once(' ') {
                Some((head, tail)) if !head.trim().is_empty() && tail.len() < width / 2 => {
                    (head.to_owned(), tail.to_owned())
                }
                _ => (line.clone(), String::new()),
            };
            lines.push(head);
            used = columns(&tail);
            line = tail;
        }
        line.push(c);
        used = used.saturating_add(wide);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: long texts break at blanks, and Chinese characters count as two columns.
    #[test]
    fn long_texts_are_folded() {
        assert_eq!(folded("ABCDEF", 4), ["ABCD", "EF"]);
        assert_eq!(folded("one two three", 8), ["one two", "three"]);
        assert_eq!(folded("消费交易", 5), ["消费", "交易"]);
    }
}
