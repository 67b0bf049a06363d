//! End-to-end tests: the real binary, a real HAProxy, and an emulated DigitalOcean API on this machine.

mod bad_input;
mod doproxy_defects;
mod fault_matrix;
mod fault_words;
mod invariants;
mod inventory_faults;
mod io_faults;
mod load;
mod metrics;
mod scaling;
mod secrets;
mod service;
mod simulate;
mod tutorial;
mod unit;
mod wall_clock;
