//! Fixtures shared by the tests of these modules.

use doproxy_core::domain::{DropletId, DropletName};
use doproxy_core::seams::{Server, ServerState};

/// Returns a serving server: droplet `id`, `web-ID.example`, at 10.0.0.ID.
pub(super) fn server(id: u64) -> Server {
    server_in_state(ServerState::Serving, id)
}

/// Returns a server of droplet `id` in this state.
pub(super) fn server_in_state(state: ServerState, id: u64) -> Server {
    Server {
        id: DropletId(id),
        hostname: DropletName::parse(format!("node-{id}.example")).unwrap(),
        address: [10, 0, 0, id.to_be_bytes()[7].max(1)].into(),
        state,
    }
}
