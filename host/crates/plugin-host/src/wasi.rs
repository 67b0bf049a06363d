//! WASI 0.2 stubs: many toolchains import WASI even if the code does not use it.
//!
//! The stubs provide no arguments, environment, files or sockets. Clocks are stopped, random numbers are derived from a
//! seed, and output goes to a bounded buffer, so components that import WASI replay exactly too.

use std::convert::Infallible;
use std::time::Duration;

use doproxy_core::domain::Timestamp;
use doproxy_support::SplitMix64;
use rand::TryRng;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::clocks::{WasiClocksCtxView, WasiClocksView as _};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

use crate::call_context::CallContext;
use crate::store_data::StoreData;

/// Maximum number of bytes that a call may print; then its stdout and stderr are closed.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Maximum number of random bytes per request of a guest.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;

/// Adds WASI to the linker.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<StoreData, ElapsedAlarms<'static>>(linker, |guest| ElapsedAlarms(guest.clocks()))?;
    linker.allow_shadowing(false);
    Ok(())
}

/// An isolated WASI context for one call.
pub(super) struct Wasi {
    pub(super) context: WasiCtx,
    /// The buffer for printed output.
    pub(super) output: MemoryOutputPipe,
}

impl Wasi {
    /// Creates the context of a call.
    pub(super) fn isolated(call_context: &CallContext) -> Self {
        let printed = MemoryOutputPipe::new(MAX_OUTPUT_BYTES);
        let clock = StoppedClock(call_context.now);
        let context = WasiCtx::builder()
            .stdout(printed.clone())
            .stderr(printed.clone())
            .wall_clock(clock)
            .monotonic_clock(clock)
            .secure_random(SeededRng(SplitMix64::from_seed(call_context.seed)))
            .insecure_random(SeededRng(SplitMix64::from_seed(!call_context.seed)))
            .insecure_random_seed(u128::from(call_context.seed))
            .max_random_size(MAX_RANDOM_BYTES)
            .allow_ip_name_lookup(false)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self { context, output: printed }
    }
}

/// A clock stopped at a fixed time.
#[derive(Clone, Copy)]
struct StoppedClock(Timestamp);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.0)
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.0.0.saturating_mul(1_000_000)
    }
}

/// A monotonic clock on which every alarm has already elapsed. Waiting for an alarm would wait on the machine's clock:
/// it would consume the call timeout instead of fuel, and so replay differently.
struct ElapsedAlarms<'a>(WasiClocksCtxView<'a>);

impl HasData for ElapsedAlarms<'static> {
    type Data<'a> = ElapsedAlarms<'a>;
}

impl monotonic_clock::Host for ElapsedAlarms<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.0.now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.0.resolution()
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.0.subscribe_duration(0)
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.0.subscribe_duration(0)
    }
}

/// The random numbers of a call.
struct SeededRng(SplitMix64);

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // Take the upper half.
        Ok((self.0.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let random = self.0.next_u64().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        Ok(())
    }
}
