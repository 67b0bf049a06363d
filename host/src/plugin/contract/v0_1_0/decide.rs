//! Calls `decide` of a fresh instance, and checks its types at the first call only.
//!
//! What wasmtime generates looks at the types of all exports of every new instance; those of `decide` alone are a twentieth
//! of a simulated tick.

use std::sync::OnceLock;

use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, TypedFunc};
use wasmtime::error::Context as _;
use wasmtime::{Result, Store};

use super::bindings::{policy, types};
use crate::plugin::guest::Guest;

/// The interface of policies.
const INTERFACE: &str = "doproxy:plugin/policy@0.1.0";

type Asked<'a> = (&'a str, &'a policy::Observation<'a>, &'a [u8]);
type Answer = std::result::Result<policy::Decision, types::Error>;

/// The function `decide` of one component.
pub(super) struct Decide {
    pre: InstancePre<Guest>,
    export: ComponentExportIndex,
    /// Set once its types are known to be those of the contract.
    checked: OnceLock<()>,
}

impl Decide {
    pub(super) fn of(pre: InstancePre<Guest>) -> Result<Self> {
        let component = pre.component();
        let export = component
            .get_export_index(None, INTERFACE)
            .and_then(|interface| component.get_export_index(Some(&interface), "decide"))
            .with_context(|| format!("it does not export `decide` of {INTERFACE}"))?;
        Ok(Self { pre, export, checked: OnceLock::new() })
    }

    /// Calls it in a fresh instance.
    pub(super) async fn call(
        &self,
        store: &mut Store<Guest>,
        config: &str,
        observation: &policy::Observation<'_>,
        state: &[u8],
    ) -> Result<Answer> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let function = self.function(store, &instance)?;
        let (answer,) = function.call_async(store, (config, observation, state)).await?;
        Ok(answer)
    }

    /// The function as `instance` has it, which `self.pre` was made into.
    fn function<'a>(&self, store: &mut Store<Guest>, instance: &Instance) -> Result<TypedFunc<Asked<'a>, (Answer,)>> {
        let function = instance.get_func(&mut *store, self.export).context("`decide` is gone")?;
        if self.checked.get().is_none() {
            function.typed::<Asked<'a>, (Answer,)>(&*store)?;
            let _ = self.checked.set(());
        }
        // SAFETY: its types were checked above, now or at an earlier call. They are those of the component, and nothing that
        // is linked with can change them, since there is no resource in them; `get_func` finds an export of this component
        // alone.
        #[expect(unsafe_code, reason = "types that were checked once are not checked again")]
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }
}
