//! HAProxy's tables, addressed by column name because columns differ between versions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;

/// A table with named columns.
#[derive(Debug)]
pub(super) struct Table<'a> {
    columns: HashMap<&'a str, usize>,
    rows: Vec<Vec<Cow<'a, str>>>,
}

/// A row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a HashMap<&'a str, usize>,
    cells: &'a [Cow<'a, str>],
}

impl<'a> Table<'a> {
    /// Parses CSV with a header `# a,b,c`; `None` if the header is missing.
    pub(super) fn csv(text: &'a str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let columns = lines.next()?.strip_prefix("# ")?.split(',');
        Some(Self { columns: index_columns(columns), rows: lines.map(csv_cells).collect() })
    }

    /// Parses blank-separated cells after a line with the version `1` and a header `# a b c`.
    pub(super) fn state(text: &'a str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        lines.next().filter(|version| *version == "1")?;
        let columns = lines.next()?.strip_prefix("# ")?.split_ascii_whitespace();
        let rows = lines.map(|line| line.split_ascii_whitespace().map(Cow::Borrowed).collect()).collect();
        Some(Self { columns: index_columns(columns), rows })
    }

    /// Returns the rows in HAProxy's order.
    pub(super) fn rows(&'a self) -> impl Iterator<Item = Row<'a>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }
}

impl<'a> Row<'a> {
    /// Returns the cell in the column `name`; `None` if it is empty or missing.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let cell = self.cells.get(*self.columns.get(name)?)?;
        Some(&**cell).filter(|cell| !cell.is_empty())
    }

    /// Returns the cell in the column `name`, parsed as a number.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}

fn index_columns<'a>(columns: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    columns.enumerate().map(|(index, name)| (name, index)).collect()
}

/// Splits a line into cells: those with a comma or a quote are quoted, and quotes in them are doubled.
fn csv_cells(mut line: &str) -> Vec<Cow<'_, str>> {
    let mut cells = Vec::with_capacity(128);
    loop {
        let (cell, rest) = if let Some(quoted) = line.strip_prefix('"') {
            quoted_cell(quoted)
        } else {
            let end = line.find(',').unwrap_or(line.len());
            let (cell, rest) = line.split_at(end);
            (Cow::Borrowed(cell), rest)
        };
        cells.push(cell);
        match rest.strip_prefix(',') {
            Some(next) => line = next,
            None => return cells,
        }
    }
}

/// Returns the cell up to the first quote that is not doubled, and the rest of the line from its comma on.
fn quoted_cell(text: &str) -> (Cow<'_, str>, &str) {
    let mut from = 0;
    while let Some(quote) = text[from..].find('"') {
        let at = from + quote;
        if text[at + 1..].starts_with('"') {
            from = at + 2;
            continue;
        }
        let rest = &text[at + 1..];
        let rest = rest.find(',').map_or("", |comma| &rest[comma..]);
        return (unquoted(&text[..at]), rest);
    }
    (unquoted(text), "")
}

fn unquoted(text: &str) -> Cow<'_, str> {
    if text.contains('"') { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(cell: &str) -> String {
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
    }

    proptest! {
        #[test]
        fn cells_round_trip(cells in prop::collection::vec("[a-z ,\"é]{0,6}", 1..6)) {
            // An unquoted cell that begins with a quote cannot be distinguished from a quoted one.
            let line = cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");

            prop_assert_eq!(csv_cells(&line), cells);
        }

        #[test]
        fn arbitrary_text_is_parsed_without_panic(text in any::<String>()) {
            let csv = format!("# svname,scur\n{text}");

            let rows = Table::csv(&csv).unwrap().rows().count();
            let _ = Table::state(&text);

            prop_assert!(rows <= csv.len());
        }
    }

    #[test]
    fn cells_are_found_by_column_name() {
        let table =
            Table::csv("# pxname,svname,scur,last_chk,\ndroplets,web-1,3,\"bad, \"\"very\"\" bad\",\ndroplets,web-2\n");
        let table = table.unwrap();
        let rows: Vec<Row<'_>> = table.rows().collect();

        assert_eq!(rows[0].number::<u32>("scur"), Some(3));
        assert_eq!(rows[0].text("last_chk"), Some("bad, \"very\" bad"));
        assert_eq!(rows[0].text("no such column"), None);
        assert_eq!(rows[1].number::<u32>("scur"), None);
    }
}
