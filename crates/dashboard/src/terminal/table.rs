//! Tables as text: columns as wide as their widest cell, numbers to the right, cut to a width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escaped::printable;

/// Between two columns.
const GAP: usize = 2;
/// A column of text is not squeezed below this, unless its cells are narrower.
const NARROWEST: usize = 8;

/// A table of cells of text.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Column {
    header: String,
    align: Align,
}

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// For words; such columns give way where the table is too wide.
    Left,
    /// For numbers.
    Right,
}

impl Table {
    /// Makes an empty table with these headers.
    pub fn new<'header>(columns: impl IntoIterator<Item = (&'header str, Align)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(header, align)| Column { header: printable(header).into_owned(), align })
            .collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row. Control characters are escaped: a cell may hold anything that a user's file holds.
    ///
    /// # Panics
    /// Where the row has not one cell per column.
    pub fn push(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let row: Vec<String> =
            row.into_iter().map(|cell| printable(cell.as_ref()).into_owned()).collect();
        assert_eq!(row.len(), self.columns.len(), "a row has one cell per column");
        self.rows.push(row);
    }

    /// Returns the table, headers first, a newline after each line, no line wider than `width`.
    pub fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width.unwrap_or(usize::MAX));
        let headers = self.columns.iter().map(|column| column.header.as_str());
        let mut text = self.line(headers, &widths, width);
        for row in &self.rows {
            text += &self.line(row.iter().map(String::as_str), &widths, width);
        }
        text
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| column.header.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        // The widest column of words gives way first.
        while widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > width {
            let widest = self
                .columns
                .iter()
                .zip(&mut widths)
                .filter(|(column, width)| column.align == Align::Left && **width > NARROWEST)
                .max_by_key(|(_, width)| **width);
            let Some((_, widest)) = widest else { break };
            *widest -= 1;
        }
        widths
    }

    fn line<'cell>(
        &self,
        cells: impl Iterator<Item = &'cell str>,
        widths: &[usize],
        width: Option<usize>,
    ) -> String {
        let mut line = String::new();
        for (index, (cell, cell_width)) in cells.zip(widths).enumerate() {
            if index > 0 {
                line += &" ".repeat(GAP);
            }
            let cell = cut(cell, *cell_width);
            let padding = " ".repeat(cell_width - cell.width());
            match self.columns[index].align {
                Align::Left => line = line + &cell + &padding,
                Align::Right => line = line + &padding + &cell,
            }
        }
        let line = line.trim_end();
        width.map_or_else(|| line.to_owned(), |width| cut(line, width)) + "\n"
    }
}

/// Returns `text` in `width` columns at most, the last one an ellipsis where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(character);
    }
    if width > 0 { kept.trim_end().to_owned() + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Table {
        let mut table = Table::new([
            ("trial", Align::Right),
            ("accuracy", Align::Right),
            ("configuration", Align::Left),
            ("state", Align::Left),
        ]);
        table.push([
            "7",
            "81.2 %",
            "learning_rate=2e-4 optimizer=adamw batch_size=16",
            "completed",
        ]);
        table.push(["12", "nan", "model.path=models/日本語", "diverged"]);
        table
    }

    #[test]
    fn columns_line_up() {
        insta::assert_snapshot!(trials().render(None), @r"
        trial  accuracy  configuration                                     state
            7    81.2 %  learning_rate=2e-4 optimizer=adamw batch_size=16  completed
           12       nan  model.path=models/日本語                          diverged
        ");
    }

    #[test]
    fn a_narrow_table_squeezes_words_first() {
        insta::assert_snapshot!(trials().render(Some(48)), @r"
        trial  accuracy  configuration         state
            7    81.2 %  learning_rate=2e-4…   completed
           12       nan  model.path=models/…   diverged
        ");
    }

    #[test]
    fn a_hopelessly_narrow_table_is_cut() {
        let text = trials().render(Some(20));
        insta::assert_snapshot!(text, @r"
        trial  accuracy  co…
            7    81.2 %  le…
           12       nan  mo…
        ");
        assert!(text.lines().all(|line| line.width() <= 20));
    }

    #[test]
    fn an_empty_first_cell_keeps_its_place() {
        let mut table = Table::new([("", Align::Left), ("value", Align::Right)]);
        table.push(["", "1"]);
        table.push(["", "23"]);
        insta::assert_snapshot!(table.render(None), @r"
        value
            1
           23
        ");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new([("text", Align::Left)]);
        table.push(["a\tb\x1b[31m\r\nc"]);
        assert_eq!(table.render(None), "text\na b\\u{1b}[31m\\r c\n");
    }

    #[test]
    fn wide_characters_are_cut_by_their_width() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
    }
}
