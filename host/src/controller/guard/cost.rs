//! What the fleet may cost in an hour and in a month.

use std::time::Duration;

use super::draft::Draft;
use crate::model::{DropletRequest, HourlyPrice, Money};

/// A droplet is not billed for more hours of a month.
const MOST_OF_A_MONTH: Duration = Duration::from_hours(672);

impl Draft<'_> {
    /// Creates only what the hourly cap has room for.
    pub(super) fn limit_hourly_cost(&mut self) {
        let Some(cap) = self.observation.limits.max_hourly_cost else { return };
        let affords = |cost: HourlyPrice| cost <= cap;
        self.afford("max_hourly_cost", &format!("the fleet may cost at most {cap}"), affords);
    }

    /// Creates only what could run until the month is over without going past the monthly cap: what was spent counts,
    /// and what was saved may be spent later.
    pub(super) fn limit_monthly_cost(&mut self) {
        let Some(cap) = self.rules.max_monthly_cost else { return };
        let spent = self.facts.spent_this_month;
        let left = self.now().end_of_month().since(self.now()).min(MOST_OF_A_MONTH);
        let month = |cost: HourlyPrice| -> Money { spent.plus(cost.for_time(left)) };
        let why = format!(
            "the fleet may cost {cap} this month, has cost {spent}, and would come to {} with them",
            month(self.hourly_cost())
        );
        self.afford("max_monthly_cost", &why, |cost| month(cost) <= cap);
    }

    /// What the fleet costs an hour once the plan is carried out.
    fn hourly_cost(&self) -> HourlyPrice {
        self.creates.iter().fold(self.cost_of_who_stays(), |sum, create| {
            sum.plus(self.price_of(&create.request).unwrap_or_default().times(create.request.count))
        })
    }

    fn cost_of_who_stays(&self) -> HourlyPrice {
        self.observation
            .fleet
            .iter()
            .filter(|droplet| !self.is_leaving(&droplet.name))
            .filter_map(|droplet| self.observation.templates.get(droplet.template as usize))
            .fold(HourlyPrice::default(), |sum, template| sum.plus(template.hourly_price))
    }

    /// Creates as many as `affords` allows at the hourly cost of the whole fleet that comes of them.
    fn afford(&mut self, rule: &str, why: &str, affords: impl Fn(HourlyPrice) -> bool) {
        let mut cost = self.cost_of_who_stays();
        let mut fewer = 0;
        let mut creates = std::mem::take(&mut self.creates);
        for create in &mut creates {
            let wanted = create.request.count;
            let affordable = match self.price_of(&create.request) {
                Some(price) if price == HourlyPrice::default() => wanted,
                Some(price) => most_that(wanted, |count| affords(cost.plus(price.times(count)))),
                // What has no price cannot be held below a cap.
                None => 0,
            };
            create.request.count = affordable;
            cost = cost.plus(self.price_of(&create.request).unwrap_or_default().times(affordable));
            fewer += wanted - affordable;
        }
        creates.retain(|create| create.request.count > 0);
        self.creates = creates;
        if fewer > 0 {
            self.cut(rule, format!("{fewer} fewer created: {why}"));
        }
    }

    fn price_of(&self, request: &DropletRequest) -> Option<HourlyPrice> {
        let templates = &self.observation.templates;
        match &request.size {
            None => templates.first(),
            Some(size) => templates.iter().find(|template| template.size == *size),
        }
        .map(|template| template.hourly_price)
    }
}

/// The largest count up to `most` for which `holds`, which is monotone, does; 0 where it does for none.
fn most_that(most: u32, holds: impl Fn(u32) -> bool) -> u32 {
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
