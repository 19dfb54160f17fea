//! Aligned columns.

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Cell {
    /// A cell in a colour of the terminal.
    pub fn coloured(text: impl Into<String>, colour: Option<&'static str>) -> Self {
        Self {
            text: text.into(),
            colour,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, None)
    }
}

/// Rows under heads.
pub struct Table<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[Cell; N]>,
    colours: bool,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [&'static str; N], colours: bool) -> Self {
        Self {
            heads,
            rows: Vec::new(),
            colours,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table as text, or `none` when it has no rows.
    pub fn text(&self, none: &str) -> String {
        if self.rows.is_empty() {
            return format!("{none}\n");
        }
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].text.chars().count());
            cells.chain([self.heads[column].len()]).max().unwrap_or_default()
        });
        let heads = self.heads.map(Cell::from);
        let lines = std::iter::once(&heads).chain(&self.rows);
        lines.map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[Cell; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let gap = " ".repeat(width - cell.text.chars().count() + 2);
            match cell.colour.filter(|_| self.colours) {
                Some(colour) => line.push_str(&format!("\x1b[{colour}m{}\x1b[0m{gap}", cell.text)),
                None => line.push_str(&format!("{}{gap}", cell.text)),
            }
        }
        format!("{}\n", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_colours_take_no_room() {
        let mut table = Table::new(["ID", "STATUS", "SIZE"], true);
        table.row(["1".into(), Cell::coloured("READY", Some("32")), "1.0 MB".into()]);
        table.row(["1234".into(), "ÄÖ".into(), "".into()]);
        assert_eq!(
            table.text("none"),
            "ID    STATUS  SIZE\n1     \x1b[32mREADY\x1b[0m   1.0 MB\n1234  ÄÖ\n"
        );
        table.colours = false;
        assert!(!table.text("none").contains('\x1b'));
        assert_eq!(Table::<1>::new(["ID"], false).text("No sessions."), "No sessions.\n");
    }
}
