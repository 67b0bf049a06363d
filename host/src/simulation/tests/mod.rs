//! The fluid model against vectors of an independent simulator, with other products' algorithms as plain functions.

mod peers;
mod vectors;
