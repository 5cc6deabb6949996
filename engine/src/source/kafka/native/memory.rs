//! How the client library's memory is kept, between one answer of a broker and the next.
//!
//! An answer is a piece of up to some megabytes, and lives until its last message has been read. The
//! allocator of glibc gives such pieces back to the system, and takes them anew from it, page by
//! page: a job that caught up had more than twice the page faults by that, and spent a quarter more
//! time in the kernel.

/// Free memory at the end of a heap that is not given back; and a piece that is smaller is taken from a
/// heap, not from the system: glibc takes no greater bound for that. There is a heap for each thread
/// that allocates, as a rule.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: i32 = 32 << 20;

/// Keeps what Kafka's client library frees for its next answers: for a program to call before its
/// job runs, because it is set for the whole process. Only where glibc's allocator is used, and not if
/// the user has set it by the environment.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    use std::sync::Once;

    const BY_USER: [&str; 3] =
        ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"];
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if BY_USER.iter().any(|name| std::env::var_os(name).is_some()) {
            return;
        }
        // SAFETY: it takes two numbers, and sets two words that other threads only compare with.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    });
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_freed_memory() {}
