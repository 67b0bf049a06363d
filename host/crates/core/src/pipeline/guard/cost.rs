//! Hourly and monthly cost caps.

use std::time::Duration;

use crate::domain::{DropletRequest, HourlyPrice, Money};
use crate::pipeline::guard::plan_builder::PlanBuilder;

/// The maximum number of hours billed per month.
const MONTHLY_BILLING_CAP: Duration = Duration::from_hours(672);

impl PlanBuilder<'_> {
    /// Limits creates to the hourly cost cap.
    pub(super) fn limit_hourly_cost(&mut self) {
        let Some(cap) = self.observation.limits.max_hourly_cost else { return };
        let affords = |cost: HourlyPrice| cost <= cap;
        self.limit_by_cost("max_hourly_cost", &format!("the fleet may cost at most {cap}"), affords);
    }

    /// Limits creates to those that could run until the end of the month without exceeding the monthly cap. Includes
    /// the amount already spent; savings may be spent later in the month.
    pub(super) fn limit_monthly_cost(&mut self) {
        let Some(cap) = self.rules.max_monthly_cost else { return };
        let spent = self.facts.spent_this_month;
        let left = self.now().end_of_month().since(self.now()).min(MONTHLY_BILLING_CAP);
        let month = |cost: HourlyPrice| -> Money { spent.plus(cost.cost_for(left)) };
        let why = format!(
            "the monthly cap is {cap}, {spent} are spent, and the month would total {}",
            month(self.hourly_cost())
        );
        self.limit_by_cost("max_monthly_cost", &why, |cost| month(cost) <= cap);
    }

    /// Returns the hourly cost of the fleet after the plan.
    fn hourly_cost(&self) -> HourlyPrice {
        self.creates.iter().fold(self.retained_hourly_cost(), |sum, create| {
            sum.plus(self.price_of(&create.request).unwrap_or_default().times(create.request.count))
        })
    }

    fn retained_hourly_cost(&self) -> HourlyPrice {
        self.observation
            .fleet
            .iter()
            .filter(|droplet| !self.is_scheduled_for_deletion(&droplet.name))
            .filter_map(|droplet| self.observation.templates.get(droplet.template as usize))
            .fold(HourlyPrice::default(), |sum, template| sum.plus(template.hourly_price))
    }

    /// Limits creates to the number for which `affords` accepts the resulting hourly cost of the whole fleet. Sizes
    /// without a price cannot be capped, so they are not created.
    fn limit_by_cost(&mut self, rule: &str, why: &str, affords: impl Fn(HourlyPrice) -> bool) {
        let mut cost = self.retained_hourly_cost();
        let (mut fewer, mut without_price) = (0_u64, 0_u64);
        let mut unknown: Vec<String> = Vec::new();
        let mut creates = std::mem::take(&mut self.creates);
        for create in &mut creates {
            let requested = create.request.count;
            let Some(price) = self.price_of(&create.request) else {
                create.request.count = 0;
                without_price += u64::from(requested);
                unknown.extend(create.request.size.clone());
                continue;
            };
            let affordable = if price == HourlyPrice::default() {
                requested
            } else {
                partition_max(requested, |count| affords(cost.plus(price.times(count))))
            };
            create.request.count = affordable;
            cost = cost.plus(price.times(affordable));
            fewer += u64::from(requested - affordable);
        }
        creates.retain(|create| create.request.count > 0);
        self.creates = creates;
        if fewer > 0 {
            self.restrict(rule, format!("{fewer} fewer created: {why}"));
        }
        // A decision may name many sizes, and each would add a line to the record.
        unknown.sort_unstable();
        unknown.dedup();
        let sizes = match unknown.as_slice() {
            [] => return,
            [size] => format!("the price of {size} is not known yet"),
            [size, ..] => format!("the prices of {} sizes, including {size}, are not known yet", unknown.len()),
        };
        self.restrict(rule, format!("{without_price} fewer created: {sizes}"));
    }

    /// Returns the hourly price of another droplet: from the API's list, otherwise from droplets of the same size in
    /// the fleet.
    fn price_of(&self, request: &DropletRequest) -> Option<HourlyPrice> {
        let templates = &self.observation.templates;
        let Some(size) = &request.size else { return templates.first().map(|template| template.hourly_price) };
        let listed = self.facts.prices.iter().find(|(slug, _)| slug == size).map(|(_, price)| *price);
        let of_the_fleet = || templates.iter().find(|template| template.size == *size);
        listed.or_else(|| of_the_fleet().map(|template| template.hourly_price))
    }
}

/// Returns the largest count up to `most` for which the monotone predicate `holds` is true; 0 if it is true for none.
fn partition_max(most: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = high - (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
