//! Plugin errors. None of them harms the host, and none is transient, so nothing here is retried.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use doproxy_core::domain::{PluginKind, Problem};
use doproxy_plugin_registry::{Reference, ResolveError};
use doproxy_support::ByteSize;

use crate::log::LogLine;

/// Number of trailing log lines shown in an error.
const LOG_TAIL_LINES: usize = 5;

/// An error of the plugin host or of one plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The plugin engine failed to start.
    #[error("failed to start the plugin engine: {0}")]
    Engine(String),
    /// The cache directory is not safe for code that will be executed.
    #[error("the plugin cache {} {reason}", .directory.display())]
    Cache {
        /// The directory.
        directory: PathBuf,
        /// The problem, and the remedy.
        reason: String,
    },
    /// The plugin cannot be loaded.
    #[error("plugin {reference}: {source}")]
    Load {
        /// The plugin.
        reference: Reference,
        /// The cause.
        source: LoadError,
    },
    /// The plugin's configuration is invalid.
    #[error("plugin {reference}: invalid configuration:{}", Problems(.problems))]
    Config {
        /// The plugin.
        reference: Reference,
        /// The problems found.
        problems: Vec<Problem>,
    },
    /// A call failed.
    #[error("plugin {reference}: `{function}` {source}{}", LogTail(.log))]
    Call {
        /// The plugin.
        reference: Reference,
        /// The contract function.
        function: &'static str,
        /// The cause.
        source: Box<CallError>,
        /// The plugin's log up to the failure.
        log: Vec<LogLine>,
    },
}

impl PluginError {
    /// Reports whether the error is caused by the user's configuration or files rather than by a failure at run time.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Call { .. } => false,
            Self::Load { source: LoadError::Resolve(error), .. } => error.is_configuration(),
            _ => true,
        }
    }
}

/// The reason why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No built-in plugin has this name.
    #[error("unknown built-in plugin{}; available: {}", did_you_mean(.suggestion.as_deref()), .known.join(", "))]
    UnknownBuiltin {
        /// The closest known name, if any.
        suggestion: Option<String>,
        /// The names of all built-in plugins.
        known: Vec<&'static str>,
    },
    /// The plugin cannot be fetched from its registry, or is rejected.
    #[error(transparent)]
    Resolve(#[from] Box<ResolveError>),
    /// The file cannot be read.
    #[error("failed to read the file: {0}")]
    Read(#[from] io::Error),
    /// The path refers to a device, a pipe or a directory.
    #[error("not a regular file")]
    NotAFile,
    /// The file exceeds the size limit.
    #[error("the component exceeds {0}")]
    TooLarge(Limit),
    /// The file is not WebAssembly.
    #[error("not a WebAssembly file; a plugin is a WebAssembly component")]
    NotWasm,
    /// The file is a core module instead of a component.
    #[error("a core module, not a component; convert it with `wasm-tools component new`")]
    CoreModule,
    /// The component is malformed.
    #[error("malformed component: {0}")]
    Malformed(String),
    /// The component imports an interface that plugins may not use.
    #[error(
        "the component imports {0}, which is not available to plugins; allowed are only doproxy:plugin/log and WASI 0.2"
    )]
    DisallowedImport(String),
    /// The component targets an unsupported version of the contract.
    #[error("the component targets {interface}; this doproxy supports version {supported}")]
    UnsupportedVersion {
        /// The versioned interface that the component targets.
        interface: String,
        /// The versions that this host supports.
        supported: &'static str,
    },
    /// The component does not implement a plugin world.
    #[error(
        "not a plugin: the component exports {}, but neither doproxy:plugin/policy nor doproxy:plugin/user-data",
        if .0.is_empty() { "nothing".to_owned() } else { .0.join(", ") }
    )]
    UnknownWorld(Vec<String>),
    /// The component implements both plugin worlds.
    #[error(
        "the component exports both doproxy:plugin/policy and doproxy:plugin/user-data; split it into two components"
    )]
    BothWorlds,
    /// The component is the other kind of plugin.
    #[error("expected a {expected}, but this is a {actual}")]
    KindMismatch {
        /// The actual kind.
        actual: PluginKind,
        /// The expected kind.
        expected: PluginKind,
    },
    /// The compiler rejected the component.
    #[error("failed to compile the component: {0}")]
    Compile(String),
    /// Compilation exceeded a limit.
    #[error("compiling the component exceeds {0}")]
    CompileLimit(Limit),
    /// The compiler process failed to start.
    #[error("failed to start the compiler {}: {source}", .program.display())]
    SpawnCompiler {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The component compiles, but has more parts than one instance may have.
    #[error("the component exceeds the capacity of this host: {0}")]
    TooManyParts(String),
    /// The component's functions do not match the contract.
    #[error("the component does not match the contract: {0}")]
    Contract(String),
    /// The component's configuration schema is invalid.
    #[error("invalid config-schema: {0}")]
    Schema(String),
}

/// The reason why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call exceeded a limit.
    #[error("exceeded {limit}{backtrace}")]
    LimitExceeded {
        /// The limit.
        limit: Limit,
        /// The location in the guest, if known.
        backtrace: GuestTrace,
    },
    /// The guest trapped.
    #[error("trapped: {reason}{backtrace}")]
    Trapped {
        /// The cause of the trap.
        reason: String,
        /// The location in the guest.
        backtrace: GuestTrace,
    },
    /// The guest returned a result that violates the contract.
    #[error("returned an invalid result: {0}")]
    InvalidResult(String),
    /// The guest rejected its configuration.
    #[error("rejected its configuration:{}", Problems(.0))]
    InvalidConfig(Vec<Problem>),
    /// A series required by the plugin is missing.
    #[error("lacks the series {0}; add a source for it under `metrics`")]
    MissingMetric(String),
    /// The guest reported a failure.
    #[error("failed: {0}")]
    Failed(String),
}

/// A limit, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Size of a component in bytes.
    #[error("the component limit of {} (plugins.limits.component_bytes)", ByteSize(*.0))]
    Component(usize),
    /// Wall-clock time for compilation.
    #[error("the compile timeout of {0:?} (plugins.limits.compile_timeout)")]
    CompileTimeout(Duration),
    /// CPU time for compilation.
    #[error("the compile limit of {0:?} of CPU time (plugins.limits.compile_cpu_time)")]
    CompileCpuTime(Duration),
    /// Memory for compilation.
    #[error("the compile limit of {} of memory (plugins.limits.compile_memory_bytes)", ByteSize(*.0))]
    CompileMemory(usize),
    /// Size of the machine code; derived from the component size limit.
    #[error("the limit of {} of machine code, four times plugins.limits.component_bytes", ByteSize(*.0))]
    Artifact(usize),
    /// Linear memory.
    #[error("the memory limit of {} (plugins.limits.memory_bytes)", ByteSize(*.0))]
    Memory(usize),
    /// Number of elements of all tables together; fixed.
    #[error("the limit of {0} table elements")]
    Tables(usize),
    /// Fuel.
    #[error("the fuel limit of {0} (plugins.limits.fuel)")]
    Fuel(u64),
    /// Wall-clock time of a call.
    #[error("the call timeout of {0:?} (plugins.limits.call_timeout)")]
    CallTimeout(Duration),
    /// Size of a policy's state.
    #[error("the state limit of {} (plugins.limits.state_bytes)", ByteSize(*.0))]
    State(usize),
    /// Size of a whole decision.
    #[error("the decision limit of {} (plugins.limits.decision_bytes)", ByteSize(*.0))]
    Decision(usize),
    /// Size of user data.
    #[error("the user-data limit of {} (plugins.limits.user_data_bytes)", ByteSize(*.0))]
    UserData(usize),
    /// Number of log lines.
    #[error("the log limit of {0} lines (plugins.limits.log_lines)")]
    LogLines(usize),
    /// Bytes copied from guest to host; derived from the other limits.
    #[error("the limit of {} copied from plugin to host in one call", ByteSize(*.0))]
    Transfer(usize),
}

/// A guest backtrace: the guest's own frames, innermost first; empty if unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestTrace(pub Vec<String>);

impl fmt::Display for GuestTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|frame| write!(f, "\n  {frame}"))
    }
}

struct Problems<'a>(&'a [Problem]);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Problem { path, message }| {
            if path.is_empty() { write!(f, "\n  {message}") } else { write!(f, "\n  {path}: {message}") }
        })
    }
}

struct LogTail<'a>(&'a [LogLine]);

impl fmt::Display for LogTail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = &self.0[self.0.len().saturating_sub(LOG_TAIL_LINES)..];
        if !tail.is_empty() {
            write!(f, "\nlast log lines:")?;
        }
        tail.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean builtin:{name}?")).unwrap_or_default()
}
