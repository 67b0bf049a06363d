//! What a policy answers.

/// A number behind a decision, shown to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// What it is.
    pub name: String,
    /// What it was.
    pub value: f64,
    /// What it should be.
    pub target: Option<f64>,
    /// The size that it alone leads to.
    pub wants: Option<u32>,
}

/// What a policy wants. Those in here bring a fleet to a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The size as it is. Beside other policies this counts as a wish for it, so none of them shrinks the fleet.
    Hold,
    /// This size. Of several policies the largest wish wins.
    ScaleTo(u32),
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is wanted.
    pub outcome: Outcome,
    /// Who is to go first where the fleet shrinks, by id; the others are the host's to choose.
    pub delete_first: Vec<u64>,
    /// Why, in one sentence with its numbers.
    pub reason: String,
    /// The numbers.
    pub signals: Vec<Signal>,
    /// To be handed back.
    pub state: Vec<u8>,
}

impl Decision {
    /// Nothing changes, and what was remembered is kept.
    pub fn hold(reason: impl Into<String>, state: &[u8]) -> Self {
        Self {
            outcome: Outcome::Hold,
            delete_first: Vec::new(),
            reason: reason.into(),
            signals: Vec::new(),
            state: state.to_vec(),
        }
    }

    /// The size wanted of a fleet that has `size` droplets.
    pub fn size(&self, size: u32) -> u32 {
        match self.outcome {
            Outcome::Hold => size,
            Outcome::ScaleTo(count) => count,
        }
    }
}
