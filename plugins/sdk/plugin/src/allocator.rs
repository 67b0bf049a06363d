//! The memory of a component that lives for one call.
//!
//! The host makes a fresh instance for each call and drops it after, so memory is given out in a row and only what was
//! given out last is taken back. It begins with an arena that is part of the instance: a memory that grows costs the host
//! two changes of page protection for each call, a third of the time that a decision takes.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::UnsafeCell;
use std::ptr;

/// Enough for an observation of several hundred droplets. The host looks through all of it after each call, for pages that
/// were written to.
const ARENA_BYTES: usize = 1 << 18;

/// The least by which the memory grows, so that it does so once.
const GROWTH_BYTES: usize = 1 << 20;

/// Of a page of WebAssembly.
const PAGE_BYTES: usize = 1 << 16;

#[global_allocator]
static ALLOCATOR: BumpAllocator = BumpAllocator { free: UnsafeCell::new(None) };

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);

/// The addresses that are free, from one up to another; nothing before the first call.
struct BumpAllocator {
    free: UnsafeCell<Option<(usize, usize)>>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Arena {}
// SAFETY: a component has one thread.
unsafe impl Sync for BumpAllocator {}

impl BumpAllocator {
    fn free(&self) -> (usize, usize) {
        let begin = ARENA.0.get() as usize;
        // SAFETY: there is one thread, and no reference into the cell outlives a function of this file.
        unsafe { *self.free.get() }.unwrap_or((begin, begin + ARENA_BYTES))
    }

    fn set_free(&self, free: (usize, usize)) {
        // SAFETY: as above.
        unsafe { *self.free.get() = Some(free) };
    }

    /// The first free address of this alignment with so many bytes behind it, the memory grown where that is needed.
    fn reserve(&self, layout: Layout) -> Option<usize> {
        let (from, to) = self.free();
        let start = from.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end <= to {
            return Some(start);
        }
        let top = memory_size::<0>() * PAGE_BYTES;
        // What is above the arena continues what was grown before, and nothing else grows the memory.
        let start = if to == top { start } else { top.checked_next_multiple_of(layout.align())? };
        let missing = start.checked_add(layout.size())? - top;
        let grows = missing.max(GROWTH_BYTES).div_ceil(PAGE_BYTES);
        // Near the limit of the memory what is missing may be all that there is.
        if memory_grow::<0>(grows) == usize::MAX && memory_grow::<0>(missing.div_ceil(PAGE_BYTES)) == usize::MAX {
            return None;
        }
        self.set_free((start, memory_size::<0>() * PAGE_BYTES));
        Some(start)
    }
}

// SAFETY: what is given out is free, large enough and aligned, and is given out again only after it was taken back.
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
        // SAFETY: the alignment is that of the layout, and whoever calls makes sure of the size.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not zero, as whoever calls makes sure.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both are as long as what is copied, and the new one is free, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(given, moved, layout.size().min(size)) };
        }
        moved
    }
}
