//! The request model: each request arrives, waits for one of the fleet's slots, is worked on, or gives up.
//!
//! Arrivals of a tick are a Poisson process of its rate. A droplet has as many slots as HAProxy's `maxconn` gives it; who
//! finds none waits in one queue, first come first served, and gives up after HAProxy's `timeout queue`. Arrivals and
//! service times follow from the seed and the tick alone, so every policy meets the same requests.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use serde::Serialize;

use super::cloud::SplitMix64;
use super::fluid::{Pool, Setup, Step};
use super::number::{round_to_u64, to_f64};

/// How long requests are worked on, and how long they wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// Mean time of service, in seconds.
    pub mean_s: f64,
    /// How it varies.
    pub distribution: Distribution,
    /// For how long a request waits before it gives up, in seconds.
    pub timeout_s: f64,
}

/// How service times vary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Not at all.
    Fixed,
    /// Exponentially.
    #[default]
    Exponential,
}

/// How long requests took, waiting included, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean_ms: f64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// 90 % took no longer.
    pub p90_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// 99.9 % took no longer.
    pub p999_ms: f64,
}

/// The requests that are in the fleet.
#[derive(Debug)]
pub struct Requests {
    service: Service,
    slots: u32,
    seed: u64,
    /// When those that are worked on will be done; times are nanoseconds since the beginning.
    in_service: BinaryHeap<Reverse<u64>>,
    queue: VecDeque<QueuedRequest>,
    latencies: Histogram,
    timed_out: u64,
    /// The latency of what was begun in this tick, added up in seconds, and how many.
    tick_latency: (f64, u64),
}

#[derive(Debug, Clone, Copy)]
struct QueuedRequest {
    arrived_at_ns: u64,
    service_ns: u64,
}

const NANOS_PER_SECOND: f64 = 1e9;

impl Requests {
    /// A fleet without any, of droplets with `slots` each.
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

    /// Requests that are worked on.
    pub fn sessions(&self) -> u32 {
        super::number::to_tick(self.in_service.len())
    }

    /// Requests that wait.
    pub fn queued(&self) -> u32 {
        super::number::to_tick(self.queue.len())
    }

    /// The mean latency of what was begun in the last tick, in milliseconds.
    pub fn response_time_ms(&self) -> Option<f64> {
        (self.tick_latency.1 > 0).then(|| self.tick_latency.0 / to_f64(self.tick_latency.1) * 1000.0)
    }

    /// How long all took so far.
    pub fn latency(&self) -> Latency {
        self.latencies.latency()
    }

    /// Takes the requests of tick `now` that come at `demand` per second.
    pub fn serve(&mut self, now: u32, demand: f64, pool: &mut Pool, setup: &Setup) -> Step {
        let mut step = pool.serve(now, demand, 0.0, setup);
        let slots = step.ready as usize * self.slots as usize;
        let (from, to) = (f64::from(now) * setup.tick_s, f64::from(now + 1) * setup.tick_s);
        let mut chance = SplitMix64::from_seed(self.seed ^ (u64::from(now) << 24));
        let gave_up_before = self.timed_out;
        let mut came = 0_u64;
        self.tick_latency = (0.0, 0);
        self.start_queued(to_nanos(from), slots);
        let mut at = from;
        loop {
            at += exponential(&mut chance) / demand;
            // Without demand the next one never comes.
            if at.is_nan() || at >= to {
                break;
            }
            came += 1;
            let work = match self.service.distribution {
                Distribution::Fixed => self.service.mean_s,
                Distribution::Exponential => self.service.mean_s * exponential(&mut chance),
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

    /// Ends what is done by `now`, and begins what waits in its place.
    fn advance(&mut self, now: u64, slots: usize) {
        while let Some(Reverse(done)) = self.in_service.peek().copied().filter(|Reverse(done)| *done <= now) {
            self.in_service.pop();
            self.start_queued(done, slots);
        }
        self.expire_queued(now);
    }

    /// Begins what waits as long as there are slots.
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

    /// Whoever has waited too long goes.
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

/// An exponentially distributed number of mean 1.
fn exponential(chance: &mut SplitMix64) -> f64 {
    -(1.0 - chance.next_f64()).ln()
}

/// Counts of times, in buckets of 1 %.
#[derive(Debug, Default)]
struct Histogram {
    counts: Vec<u64>,
    sum_s: f64,
    count: u64,
}

/// The first bucket, in seconds, and how much longer each next one is.
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

    /// The time in milliseconds that a share of all took no longer than.
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
mod tests {
    use super::*;
    use crate::simulation::fluid::Overload;

    fn setup() -> Setup {
        Setup { tick_s: 60.0, capacity: 10.0, boot_ticks: 2, min: 1, max: 100, initial: None, overload: Overload::Loss }
    }

    /// `ticks` of `demand` on `droplets` of one slot each, with a service time of 0.1 s.
    fn run(demand: f64, droplets: u32, ticks: u32, timeout_s: f64, seed: u64) -> (Requests, Vec<Step>) {
        let service = Service { mean_s: 0.1, distribution: Distribution::Exponential, timeout_s };
        let mut requests = Requests::new(service, 1, seed);
        let mut pool = Pool::new(droplets);
        let steps = (0..ticks).map(|now| requests.serve(now, demand, &mut pool, &setup())).collect();
        (requests, steps)
    }

    #[test]
    fn waiting_is_as_long_as_erlang_c_says() {
        // M/M/8 with five Erlangs: P(wait) is 0.167267, and the mean wait is that times 1/(cμ − λ).
        let (requests, steps) = run(50.0, 8, 400, 1e6, 7);

        let wait_ms = requests.latency().mean_ms - 100.0;
        let wanted = 0.167_267 / (80.0 - 50.0) * 1000.0;
        assert!((wait_ms - wanted).abs() < 0.5, "{wait_ms} ms, not {wanted}");
        assert!(steps.iter().all(|step| step.unserved == 0.0));
    }

    #[test]
    fn the_median_of_one_alone_is_that_of_its_service_time() {
        let (requests, _) = run(10.0, 1000, 50, 1e6, 7);

        let wanted = 100.0 * std::f64::consts::LN_2;
        assert!((requests.latency().p50_ms / wanted - 1.0).abs() < 0.03, "{:?}", requests.latency());
    }

    #[test]
    fn what_there_is_no_room_for_gives_up_and_is_counted() {
        let (_, steps) = run(20.0, 1, 100, 5.0, 7);

        let (came, lost): (f64, f64) =
            (steps.iter().map(|step| step.demand * 60.0).sum(), steps.iter().map(|step| step.unserved).sum());
        assert!((lost / came - 0.5).abs() < 0.02, "{lost} of {came}");
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let latency = |seed| run(30.0, 4, 20, 5.0, seed).0.latency();

        assert_eq!(latency(1), latency(1));
        assert_ne!(latency(1), latency(2));
    }
}
