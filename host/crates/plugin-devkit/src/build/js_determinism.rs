//! Reproducible initialization of a JavaScript engine at build time.
//!
//! The memory of an engine that has loaded a program becomes part of the component. If the engine used the machine's
//! random numbers and clock, no two builds would be identical. Therefore every call of WASI's `random_get` and
//! `clock_time_get` is redirected to a function added to the module: a fixed pseudorandom sequence, and a clock that
//! advances by one microsecond per read. Nothing is lost, because no plugin has a clock or random numbers at run time.

use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType, Instruction, MemArg,
    Module, ValType,
};
use wasmparser::{Parser, Payload, TypeRef};

const WASI: &str = "wasi_snapshot_preview1";

/// Seed of the random numbers; the value is arbitrary.
const SEED: i64 = 0x5eed;

/// Constants of Knuth's linear congruential generator (MMIX).
const MULTIPLIER: i64 = 6_364_136_223_846_793_005;
const INCREMENT: i64 = 1_442_695_040_888_963_407;

/// Initial time of the clock, in nanoseconds since 1970, and its increment per read.
const CLOCK_START: i64 = 1_000_000_000_000_000_000;
const CLOCK_STEP: i64 = 1_000;

/// Memory operand: at the given address.
const AT_ADDRESS: MemArg = MemArg { offset: 0, align: 0, memory_index: 0 };

/// The reason why an engine cannot be patched.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeterminizeError {
    /// The input is not a module.
    #[error(transparent)]
    Parse(#[from] wasmparser::BinaryReaderError),
    /// The module contains an item that cannot be encoded.
    #[error("{0}")]
    Encode(String),
    /// The module does not import its random numbers or clock as expected.
    #[error("no import of {0}")]
    Import(&'static str),
}

/// Returns `module` with built-in random numbers and a built-in clock.
pub(super) fn determinize(module: &[u8]) -> Result<Vec<u8>, DeterminizeError> {
    let mut determinized = Determinized::scan(module)?;
    let mut written = Module::new();
    determinized
        .parse_core_module(&mut written, Parser::new(0), module)
        .map_err(|error: reencode::Error| DeterminizeError::Encode(error.to_string()))?;
    Ok(written.finish())
}

/// An imported function: its index, and the index of its type.
#[derive(Clone, Copy)]
struct ImportedFunction {
    function: u32,
    kind: u32,
}

struct Determinized {
    random: ImportedFunction,
    clock: ImportedFunction,
    functions: u32,
    globals: u32,
}

impl Determinized {
    fn scan(module: &[u8]) -> Result<Self, DeterminizeError> {
        let (mut functions, mut globals) = (0, 0);
        let (mut random, mut clock) = (None, None);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(kind) = import.ty {
                            let imported = Some(ImportedFunction { function: functions, kind });
                            match (import.module, import.name) {
                                (WASI, "random_get") => random = imported,
                                (WASI, "clock_time_get") => clock = imported,
                                _ => {}
                            }
                            functions += 1;
                        }
                        globals += u32::from(matches!(import.ty, TypeRef::Global(_)));
                    }
                }
                Payload::FunctionSection(section) => functions += section.count(),
                Payload::GlobalSection(section) => globals += section.count(),
                _ => {}
            }
        }
        Ok(Self {
            random: random.ok_or(DeterminizeError::Import("random_get"))?,
            clock: clock.ok_or(DeterminizeError::Import("clock_time_get"))?,
            functions,
            globals,
        })
    }

    /// Generates `random_get(buffer, length)`.
    fn random_get(&self) -> Function {
        let (buffer, length) = (0, 1);
        let mut function = Function::new([]);
        function.instruction(&Instruction::Block(BlockType::Empty));
        function.instruction(&Instruction::Loop(BlockType::Empty));
        function.instruction(&Instruction::LocalGet(length));
        function.instruction(&Instruction::I32Eqz);
        function.instruction(&Instruction::BrIf(1));
        function.instruction(&Instruction::GlobalGet(self.globals));
        function.instruction(&Instruction::I64Const(MULTIPLIER));
        function.instruction(&Instruction::I64Mul);
        function.instruction(&Instruction::I64Const(INCREMENT));
        function.instruction(&Instruction::I64Add);
        function.instruction(&Instruction::GlobalSet(self.globals));
        // The upper bits are of better quality.
        function.instruction(&Instruction::LocalGet(buffer));
        function.instruction(&Instruction::GlobalGet(self.globals));
        function.instruction(&Instruction::I64Const(56));
        function.instruction(&Instruction::I64ShrU);
        function.instruction(&Instruction::I64Store8(AT_ADDRESS));
        function.instruction(&Instruction::LocalGet(buffer));
        function.instruction(&Instruction::I32Const(1));
        function.instruction(&Instruction::I32Add);
        function.instruction(&Instruction::LocalSet(buffer));
        function.instruction(&Instruction::LocalGet(length));
        function.instruction(&Instruction::I32Const(1));
        function.instruction(&Instruction::I32Sub);
        function.instruction(&Instruction::LocalSet(length));
        function.instruction(&Instruction::Br(0));
        function.instruction(&Instruction::End);
        function.instruction(&Instruction::End);
        function.instruction(&Instruction::I32Const(0));
        function.instruction(&Instruction::End);
        function
    }

    /// Generates `clock_time_get(clock, precision, result)`.
    fn clock_time_get(&self) -> Function {
        let (result, now) = (2, self.globals + 1);
        let mut function = Function::new([]);
        function.instruction(&Instruction::GlobalGet(now));
        function.instruction(&Instruction::I64Const(CLOCK_STEP));
        function.instruction(&Instruction::I64Add);
        function.instruction(&Instruction::GlobalSet(now));
        function.instruction(&Instruction::LocalGet(result));
        function.instruction(&Instruction::GlobalGet(now));
        function.instruction(&Instruction::I64Store(AT_ADDRESS));
        function.instruction(&Instruction::I32Const(0));
        function.instruction(&Instruction::End);
        function
    }
}

impl Reencode for Determinized {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error> {
        Ok(match function {
            random if random == self.random.function => self.functions,
            clock if clock == self.clock.function => self.functions + 1,
            other => other,
        })
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.random.kind).function(self.clock.kind);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        utils::parse_global_section(self, globals, section)?;
        let counter = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(counter, &ConstExpr::i64_const(SEED)).global(counter, &ConstExpr::i64_const(CLOCK_START));
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.random_get()).function(&self.clock_time_get());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
