//! Prefetching: asking for memory that will soon be used.
//!
//! With a million keys nearly every record has to wait for its key's name and for its pane, which
//! are in no cache. A processor waits for some twenty lines of memory at once if it knows of them.
//! It finds out by itself only as far as it looks ahead, and a write that waits holds up all that
//! follow. So whoever knows where many keys lie says so first, and uses them then.
//!
//! This is the only module of the crate with `unsafe`: the standard library has no safe way to say it.

#![expect(unsafe_code, reason = "to ask for memory has no safe form")]

/// Asks for the line of memory with this address in it, and does not wait. Any address will do: what
/// is not there is not brought.
#[inline]
pub(super) fn prefetch<T>(address: *const T) {
    // SAFETY: this is a hint. It gives nothing, changes nothing that a program can see, and does not
    // fail, wherever the address points.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
