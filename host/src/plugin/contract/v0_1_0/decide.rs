//! Calls `decide` of a fresh instance, and checks its types at the first call only.
//!
//! What wasmtime generates looks at the types of all exports of every new instance; those of `decide` alone are a twentieth
//! of a simulated tick.

use std::sync::OnceLock;

use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, TypedFunc};
use wasmtime::error::Context as _;
use wasmtime::{Result, Store};

use super::bindings::{policy, types};
use crate::plugin::store_data::StoreData;

/// The interface of policies.
const INTERFACE: &str = "doproxy:plugin/policy@0.1.0";

type DecideParams<'a> = (&'a str, &'a policy::Observation<'a>, &'a [u8]);
type DecideResults = std::result::Result<policy::Decision, types::Error>;

/// The function `decide` of one component.
pub(super) struct DecideFunction {
    pre: InstancePre<StoreData>,
    export: ComponentExportIndex,
    /// Set once its types are known to be those of the contract.
    types_checked: OnceLock<()>,
}

impl DecideFunction {
    pub(super) fn of(pre: InstancePre<StoreData>) -> Result<Self> {
        let component = pre.component();
        let export = component
            .get_export_index(None, INTERFACE)
            .and_then(|interface| component.get_export_index(Some(&interface), "decide"))
            .with_context(|| format!("it does not export `decide` of {INTERFACE}"))?;
        Ok(Self { pre, export, types_checked: OnceLock::new() })
    }

    /// Calls it in a fresh instance.
    pub(super) async fn call(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        observation: &policy::Observation<'_>,
        state: &[u8],
    ) -> Result<DecideResults> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let function = self.function(store, &instance)?;
        let (answer,) = function.call_async(store, (config, observation, state)).await?;
        Ok(answer)
    }

    /// The function as `instance` has it, which `self.pre` was made into.
    fn function<'a>(
        &self,
        store: &mut Store<StoreData>,
        instance: &Instance,
    ) -> Result<TypedFunc<DecideParams<'a>, (DecideResults,)>> {
        let function = instance.get_func(&mut *store, self.export).context("`decide` is gone")?;
        if self.types_checked.get().is_none() {
            function.typed::<DecideParams<'a>, (DecideResults,)>(&*store)?;
            let _ = self.types_checked.set(());
        }
        // SAFETY: its types were checked above, now or at an earlier call. They are those of the component, and nothing that
        // is linked with can change them, since there is no resource in them; `get_func` finds an export of this component
        // alone.
        #[expect(unsafe_code, reason = "types that were checked once are not checked again")]
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }
}
