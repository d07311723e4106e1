//! Dots on a grid of characters: two by four to a cell in braille, one in ASCII.

use super::style::{Colour, Style};

/// Marks of curves in ASCII, in order of use.
pub(crate) const MARKS: [char; 6] = ['*', '+', 'o', 'x', '#', '@'];

/// Dots on a grid of characters, each cell owned by the curve that drew there last.
pub(crate) struct Canvas {
    columns: usize,
    style: Style,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    /// Bit n is the braille dot n + 1.
    dots: u8,
    /// Index of the curve.
    curve: usize,
    /// Stands in place of the dots.
    letter: Option<char>,
}

impl Canvas {
    /// Makes an empty canvas of so many characters.
    pub(crate) fn new(columns: usize, rows: usize, style: Style) -> Self {
        Self { columns, style, cells: vec![Cell::default(); columns * rows] }
    }

    /// Returns the dots in a cell: across and down.
    pub(crate) fn dots_per_cell(style: Style) -> (usize, usize) {
        if style.unicode { (2, 4) } else { (1, 1) }
    }

    /// Draws a straight line between two dots, both included. Rows count from the top.
    ///
    /// # Source
    /// Bresenham's algorithm in its form for all octants.
    pub(crate) fn line(&mut self, from: (usize, usize), to: (usize, usize), curve: usize) {
        let (mut x, mut y) = (from.0 as i64, from.1 as i64);
        let (end_x, end_y) = (to.0 as i64, to.1 as i64);
        let (width, height) = ((end_x - x).abs(), -(end_y - y).abs());
        let (step_x, step_y) = ((end_x - x).signum(), (end_y - y).signum());
        let mut error = width + height;
        loop {
            self.dot(x as usize, y as usize, curve);
            if (x, y) == (end_x, end_y) {
                return;
            }
            let doubled = 2 * error;
            if doubled >= height {
                error += height;
                x += step_x;
            }
            if doubled <= width {
                error += width;
                y += step_y;
            }
        }
    }

    /// Puts a curve's letter into the free cell of a column that is nearest to `row`.
    pub(crate) fn letter(&mut self, letter: char, column: usize, row: usize, curve: usize) {
        let rows = self.cells.len() / self.columns;
        let free = |row: &usize| self.cells[row * self.columns + column].letter.is_none();
        let nearest = (0..rows).filter(free).min_by_key(|candidate| candidate.abs_diff(row));
        if let Some(row) = nearest {
            self.cells[row * self.columns + column] = Cell { dots: 0, curve, letter: Some(letter) };
        }
    }

    /// Returns a row as text, without trailing spaces.
    pub(crate) fn row(&self, row: usize) -> String {
        let cells = &self.cells[row * self.columns..(row + 1) * self.columns];
        let used = cells
            .iter()
            .rposition(|cell| cell.dots != 0 || cell.letter.is_some())
            .map_or(0, |last| last + 1);
        // One escape sequence for neighbours of one curve.
        cells[..used]
            .chunk_by(|left, right| left.curve == right.curve)
            .map(|run| {
                let text: String = run.iter().map(|cell| self.character(*cell)).collect();
                self.style.paint(Self::colour(run[0].curve), &text)
            })
            .collect()
    }

    /// Returns the colour of a curve.
    pub(crate) fn colour(curve: usize) -> Colour {
        Colour::SERIES[curve % Colour::SERIES.len()]
    }

    fn character(&self, cell: Cell) -> char {
        match (cell.letter, cell.dots) {
            (Some(letter), _) => letter,
            (None, 0) => ' ',
            (None, dots) if self.style.unicode => {
                char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')
            }
            (None, _) => MARKS[cell.curve % MARKS.len()],
        }
    }

    fn dot(&mut self, x: usize, y: usize, curve: usize) {
        let (across, down) = Self::dots_per_cell(self.style);
        let Some(cell) = self.cells.get_mut(y / down * self.columns + x / across) else { return };
        // Braille numbers its dots column by column, but the lowest two came later.
        let bit = match (x % across, y % down) {
            (0, 3) => 6,
            (1, 3) => 7,
            (column, row) => column * 3 + row,
        };
        cell.dots |= 1 << bit;
        cell.curve = curve;
    }
}
