//! The report: one self-contained HTML page that needs no network.
//!
//! The table is plain HTML and readable without scripts. `chart.js` draws the charts as SVG from numbers embedded as
//! JSON. The template escapes external text (names, reasons, the command).

mod page;

pub use crate::report::page::render_page;
