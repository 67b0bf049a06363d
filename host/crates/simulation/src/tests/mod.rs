//! Compares the fluid model with vectors of an independent simulator, using other products' algorithms as plain
//! functions; and runs real components in the same scenarios.

mod peers;
mod runs;
mod sizing;
mod vectors;
