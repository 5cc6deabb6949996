//! How the client library's memory is kept, between one answer of a broker and the next.
//!
//! An answer is a piece of up to some megabytes, and lives until its last message has been read. The
//! allocator of glibc gives such pieces back to the system, and takes them anew from it, page by
//! page: by that a job that catches up had twice the page faults, and took 2 % more processor time.

/// Keeps what the client library frees for its next answers, up to [`KEPT_BYTES`]. It is set for the
/// process, once, where glibc's allocator is used, and not if the user has set it by the environment.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn keep() {
    use std::sync::Once;

    /// Free memory at the end of a heap that is not given back; the most that glibc takes for the
    /// other setting.
    const KEPT_BYTES: i32 = 32 << 20;
    const BY_USER: [&str; 3] =
        ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"];
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if BY_USER.iter().any(|name| std::env::var_os(name).is_some()) {
            return;
        }
        // SAFETY: takes two numbers, and the allocator's lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    });
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep() {}
