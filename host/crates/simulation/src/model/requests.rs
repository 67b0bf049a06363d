//! The request model: each request arrives, waits for a free slot in the fleet, and is served or times out.
//!
//! Arrivals within a tick form a Poisson process at the tick's rate. A droplet has as many slots as HAProxy's `maxconn`
//! allows. Requests without a free slot wait in a single FIFO queue and time out after HAProxy's `timeout queue`.
//! Arrivals and service times depend only on the seed and the tick, so every policy receives the same requests.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use doproxy_support::SplitMix64;
use serde::Serialize;

use crate::model::fluid::{Pool, Setup, Step};
use crate::number::{round_to_u64, to_f64};

/// Service times and queue timeout of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// Mean service time, in seconds.
    pub mean_s: f64,
    /// Distribution of service times.
    pub distribution: Distribution,
    /// Time after which a queued request times out, in seconds.
    pub timeout_s: f64,
}

/// Distribution of service times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Constant service time.
    Fixed,
    /// Exponential distribution.
    #[default]
    Exponential,
}

/// Request latencies in milliseconds, including time in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are keys of the JSON output, with their unit")]
pub struct Latency {
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
}

/// The requests in the fleet.
#[derive(Debug)]
pub struct Requests {
    service: Service,
    slots: u32,
    seed: u64,
    /// Completion times of the requests in service, in nanoseconds since the start of the run.
    in_service: BinaryHeap<Reverse<u64>>,
    queue: VecDeque<QueuedRequest>,
    latencies: Histogram,
    timed_out: u64,
    /// Sum of the latencies of requests started in this tick, in seconds, and their number.
    tick_latency: (f64, u64),
}

#[derive(Debug, Clone, Copy)]
struct QueuedRequest {
    arrived_at_ns: u64,
    service_ns: u64,
}

const NANOS_PER_SECOND: f64 = 1e9;

impl Requests {
    /// Creates an empty model for droplets with `slots` slots each.
    pub fn new(service: Service, slots: u32, seed: u64) -> Self {
        Self {
            service,
            slots,
            seed,
            in_service: BinaryHeap::new(),
            queue: VecDeque::new(),
            latencies: Histogram::default(),
            timed_out: 0,
            tick_latency: (0.0, 0),
        }
    }

    /// Returns the number of requests in service.
    pub fn sessions(&self) -> u32 {
        crate::number::to_tick(self.in_service.len())
    }

    /// Returns the number of queued requests.
    pub fn queued(&self) -> u32 {
        crate::number::to_tick(self.queue.len())
    }

    /// Returns the mean latency of the requests started in the last tick, in milliseconds.
    pub fn response_time_ms(&self) -> Option<f64> {
        (self.tick_latency.1 > 0).then(|| self.tick_latency.0 / to_f64(self.tick_latency.1) * 1000.0)
    }

    /// Returns the latencies of all requests so far.
    pub fn latency(&self) -> Latency {
        self.latencies.latency()
    }

    /// Processes the requests of tick `now`, which arrive at `demand` per second.
    pub fn serve(&mut self, now: u32, demand: f64, pool: &mut Pool, setup: &Setup) -> Step {
        let mut step = pool.serve(now, demand, 0.0, setup);
        let slots = step.ready as usize * self.slots as usize;
        let (from, to) = (f64::from(now) * setup.tick_s, f64::from(now + 1) * setup.tick_s);
        let mut rng = SplitMix64::from_seed(self.seed ^ (u64::from(now) << 24));
        let gave_up_before = self.timed_out;
        let mut came = 0_u64;
        self.tick_latency = (0.0, 0);
        self.start_queued(to_nanos(from), slots);
        let mut at = from;
        loop {
            at += exponential(&mut rng) / demand;
            // Without demand there is no next arrival.
            if at.is_nan() || at >= to {
                break;
            }
            came += 1;
            let work = match self.service.distribution {
                Distribution::Fixed => self.service.mean_s,
                Distribution::Exponential => self.service.mean_s * exponential(&mut rng),
            };
            self.advance(to_nanos(at), slots);
            let request = QueuedRequest { arrived_at_ns: to_nanos(at), service_ns: to_nanos(work) };
            if self.in_service.len() < slots && self.queue.is_empty() {
                self.start(request, to_nanos(at));
            } else {
                self.queue.push_back(request);
            }
        }
        self.advance(to_nanos(to), slots);
        step.demand = to_f64(came) / setup.tick_s;
        step.unserved = to_f64(self.timed_out - gave_up_before);
        step.backlog = to_f64(self.queue.len() as u64);
        step
    }

    /// Completes requests that are done by `now` and starts queued ones in their place.
    fn advance(&mut self, now: u64, slots: usize) {
        while let Some(Reverse(done)) = self.in_service.peek().copied().filter(|Reverse(done)| *done <= now) {
            self.in_service.pop();
            self.start_queued(done, slots);
        }
        self.expire_queued(now);
    }

    /// Starts queued requests while slots are free.
    fn start_queued(&mut self, now: u64, slots: usize) {
        self.expire_queued(now);
        while self.in_service.len() < slots
            && let Some(request) = self.queue.pop_front()
        {
            self.start(request, now);
        }
    }

    fn start(&mut self, request: QueuedRequest, now: u64) {
        let done = now + request.service_ns;
        self.in_service.push(Reverse(done));
        let seconds = to_f64(done - request.arrived_at_ns) / NANOS_PER_SECOND;
        self.latencies.add(seconds);
        self.tick_latency.0 += seconds;
        self.tick_latency.1 += 1;
    }

    /// Removes requests that have timed out from the queue.
    fn expire_queued(&mut self, now: u64) {
        let timeout = to_nanos(self.service.timeout_s);
        while self.queue.front().is_some_and(|request| request.arrived_at_ns + timeout <= now) {
            self.queue.pop_front();
            self.timed_out += 1;
        }
    }
}

fn to_nanos(seconds: f64) -> u64 {
    round_to_u64(seconds * NANOS_PER_SECOND)
}

/// Draws an exponentially distributed number with mean 1.
fn exponential(rng: &mut SplitMix64) -> f64 {
    -(1.0 - rng.next_f64()).ln()
}

/// A latency histogram with buckets that grow by 1 %.
#[derive(Debug, Default)]
struct Histogram {
    counts: Vec<u64>,
    sum_s: f64,
    count: u64,
}

/// Lower bound of the first bucket in seconds, and the growth factor between buckets.
const MIN_BUCKET_S: f64 = 1e-6;
const BUCKET_RATIO: f64 = 1.01;

impl Histogram {
    fn add(&mut self, seconds: f64) {
        let bucket = round_to_u64((seconds / MIN_BUCKET_S).max(1.0).ln() / BUCKET_RATIO.ln());
        // A day is bucket 2,530.
        let bucket = usize::try_from(bucket).unwrap_or(0).min(10_000);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.sum_s += seconds;
        self.count += 1;
    }

    /// Returns the latency in milliseconds that a `share` of all requests did not exceed.
    fn percentile(&self, share: f64) -> f64 {
        let wanted = round_to_u64((to_f64(self.count) * share).ceil()).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        bucket.map_or(0.0, |bucket| MIN_BUCKET_S * BUCKET_RATIO.powf(to_f64(bucket as u64)) * 1000.0)
    }

    fn latency(&self) -> Latency {
        Latency {
            mean_ms: if self.count == 0 { 0.0 } else { self.sum_s / to_f64(self.count) * 1000.0 },
            p50_ms: self.percentile(0.5),
            p90_ms: self.percentile(0.9),
            p99_ms: self.percentile(0.99),
            p999_ms: self.percentile(0.999),
        }
    }
}

#[cfg(test)]
mod tests;
