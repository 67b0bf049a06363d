//! The decision of a policy.

/// A value behind a decision, for display.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::Signal;
///
/// let signal = Signal { name: "haproxy.sessions".to_owned(), value: 90.0, target: Some(80.0), wants: Some(5) };
///
/// assert!(signal.target.is_some_and(|target| signal.value > target));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its target.
    pub target: Option<f64>,
    /// The size this signal alone would lead to.
    pub wants: Option<u32>,
}

/// The outcome of a policy. The policies that use this SDK only set the size of a fleet.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::{Decision, Outcome};
///
/// let decision = Decision { outcome: Outcome::ScaleTo(3), ..Decision::hold("3 droplets suffice", b"") };
///
/// assert_eq!(decision.outcome, Outcome::ScaleTo(3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Keeps the size. Combined with other policies this counts as a recommendation of the current size, so none of
    /// them shrinks the fleet.
    Hold,
    /// Scales to this size. Of several policies, the largest recommendation wins.
    ScaleTo(u32),
}

/// A policy's decision.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::{Decision, Outcome};
///
/// // A policy that learns nothing returns the state that it received.
/// let state = b"7 ticks";
/// let decision = Decision { outcome: Outcome::ScaleTo(5), ..Decision::hold("it is noon", state) };
///
/// assert_eq!(decision.size(2), 5);
/// assert_eq!(decision.state, state);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The outcome.
    pub outcome: Outcome,
    /// IDs of the droplets to delete first when scaling in; the host selects the others.
    pub delete_first: Vec<u64>,
    /// The reason, in one sentence with its values.
    pub reason: String,
    /// The values.
    pub signals: Vec<Signal>,
    /// The state that the host passes to the next call.
    pub state: Vec<u8>,
}

impl Decision {
    /// Creates a decision that changes nothing and keeps the state.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::{Decision, Outcome};
    ///
    /// let decision = Decision::hold("haproxy.sessions is stale", b"");
    ///
    /// assert_eq!(decision.outcome, Outcome::Hold);
    /// ```
    pub fn hold(reason: impl Into<String>, state: &[u8]) -> Self {
        Self {
            outcome: Outcome::Hold,
            delete_first: Vec::new(),
            reason: reason.into(),
            signals: Vec::new(),
            state: state.to_vec(),
        }
    }

    /// Returns the target size of a fleet with `size` droplets.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::Decision;
    ///
    /// assert_eq!(Decision::hold("nothing to do", b"").size(4), 4);
    /// ```
    pub fn size(&self, size: u32) -> u32 {
        match self.outcome {
            Outcome::Hold => size,
            Outcome::ScaleTo(count) => count,
        }
    }
}
