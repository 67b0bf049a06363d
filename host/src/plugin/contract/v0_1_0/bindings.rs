//! Version 0.1.0 as wasmtime sees it. Nothing outside of this version names what is generated here.

/// World `scaling-policy`, and what both worlds share.
pub(super) mod scaling {
    wasmtime::component::bindgen!({
        path: "../wit/doproxy-plugin@0.1.0",
        world: "scaling-policy",
        // An observation points to the model's text: copying it would be a twenty-fifth of a simulated tick.
        ownership: Borrowing { duplicate_if_necessary: false },
        imports: { default: trappable },
        exports: { default: async },
    });
}

/// World `user-data-generator`.
pub(super) mod generating {
    wasmtime::component::bindgen!({
        path: "../wit/doproxy-plugin@0.1.0",
        world: "user-data-generator",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "doproxy:plugin/types": super::scaling::doproxy::plugin::types,
            "doproxy:plugin/log": super::scaling::doproxy::plugin::log,
        },
    });
}

pub(super) use generating::exports::doproxy::plugin::user_data;
pub(super) use generating::{UserDataGenerator, UserDataGeneratorPre};
pub(super) use scaling::doproxy::plugin::{log, types};
pub(super) use scaling::exports::doproxy::plugin::policy;
pub(super) use scaling::{ScalingPolicy, ScalingPolicyPre};
