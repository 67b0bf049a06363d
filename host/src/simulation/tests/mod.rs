//! The fluid model against vectors of an independent simulator, with other products' algorithms as plain functions; and
//! real components in the same worlds.

mod peers;
mod played;
mod production;
mod vectors;
