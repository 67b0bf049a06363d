//! Memory allocator for a component that lives for one call.
//!
//! The host creates a new instance for each call and drops it afterwards, so memory is allocated sequentially and only
//! the latest allocation is reused when freed. The memory starts with an arena that is part of the instance: growing it
//! costs the host two changes of page protection per call, a third of the duration of a decision.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::UnsafeCell;
use std::ptr;

/// Enough for an observation of several hundred droplets. The host scans all of it for dirty pages after each call.
const MEMORY_BYTES: usize = 1 << 18;

/// The minimum by which the memory grows, so that it grows only once.
const GROWTH_BYTES: usize = 1 << 20;

/// Size of a WebAssembly page.
const PAGE_BYTES: usize = 1 << 16;

#[global_allocator]
static ALLOCATOR: BumpAllocator = BumpAllocator { free: UnsafeCell::new(None) };

static MEMORY: Memory = Memory(UnsafeCell::new([0; MEMORY_BYTES]));

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; MEMORY_BYTES]>);

/// Allocates from a range of free addresses; `None` before the first call.
struct BumpAllocator {
    free: UnsafeCell<Option<(usize, usize)>>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Memory {}
// SAFETY: a component has one thread.
unsafe impl Sync for BumpAllocator {}

impl BumpAllocator {
    fn free(&self) -> (usize, usize) {
        let begin = MEMORY.0.get() as usize;
        // SAFETY: there is one thread, and no reference into the cell outlives a function of this file.
        unsafe { *self.free.get() }.unwrap_or((begin, begin + MEMORY_BYTES))
    }

    fn set_free(&self, free: (usize, usize)) {
        // SAFETY: as above.
        unsafe { *self.free.get() = Some(free) };
    }

    /// Returns the first free address with this alignment and size, growing the memory if necessary.
    fn reserve(&self, layout: Layout) -> Option<usize> {
        let (from, to) = self.free();
        let start = from.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end <= to {
            return Some(start);
        }
        let top = memory_size::<0>() * PAGE_BYTES;
        // Growth above the arena continues the previous growth, because nothing else grows the memory.
        let start = if to == top { start } else { top.checked_next_multiple_of(layout.align())? };
        let missing = start.checked_add(layout.size())? - top;
        let grows = missing.max(GROWTH_BYTES).div_ceil(PAGE_BYTES);
        // Near the memory limit, the missing bytes may be all that is left.
        if memory_grow::<0>(grows) == usize::MAX && memory_grow::<0>(missing.div_ceil(PAGE_BYTES)) == usize::MAX {
            return None;
        }
        self.set_free((start, memory_size::<0>() * PAGE_BYTES));
        Some(start)
    }
}

// SAFETY: an allocation is free, large enough and aligned, and is reused only after it was freed.
unsafe impl GlobalAlloc for BumpAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(start) = self.reserve(layout) else { return ptr::null_mut() };
        self.set_free((start + layout.size(), self.free().1));
        start as *mut u8
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let (from, to) = self.free();
        if given as usize + layout.size() == from {
            self.set_free((given as usize, to));
        }
    }

    unsafe fn realloc(&self, given: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let start = given as usize;
        let (from, to) = self.free();
        let is_last = start + layout.size() == from;
        if is_last && start.checked_add(size).is_some_and(|end| end <= to) {
            self.set_free((start + size, to));
            return given;
        }
        // SAFETY: the alignment is that of the layout, and the caller guarantees the size.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller guarantees that the size is not zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both are at least as long as the copied range, and the new one is free, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(given, moved, layout.size().min(size)) };
        }
        moved
    }
}
