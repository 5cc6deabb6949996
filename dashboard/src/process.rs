//! What the operating system says of this process, by the names that Prometheus' own clients use.
//!
//! It is read when it is asked for. Where the system does not have `/proc`, nothing is known.

/// The ticks of a second in `/proc/self/stat`: a constant of Linux' interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resources that this process uses.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) open_descriptors: Option<u64>,
    pub(crate) descriptors_max: Option<u64>,
    pub(crate) start_seconds: Option<f64>,
}

impl Process {
    /// As it is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "no files of a job: what the system says of this process"
    )]
    pub(crate) fn now() -> Process {
        let read = |name| std::fs::read_to_string(name).unwrap_or_default();
        let descriptors = std::fs::read_dir("/proc/self/fd").ok();
        Process {
            // The listing itself has one of them open.
            open_descriptors: descriptors.map(|all| (all.count() as u64).saturating_sub(1)),
            ..Process::of(
                &read("/proc/self/stat"),
                &read("/proc/self/status"),
                &read("/proc/self/limits"),
                &read("/proc/stat"),
            )
        }
    }

    fn of(stat: &str, status: &str, limits: &str, system: &str) -> Process {
        // The second field is a name in parentheses, which may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let (user, kernel, started) = (field(14), field(15), field(22));
        let boot = line(system, "btime").and_then(|seconds| seconds.parse::<f64>().ok());
        let kibibytes = |name| line(status, name)?.split_whitespace().next()?.parse::<u64>().ok();
        let bytes = |name| kibibytes(name).map(|kibibytes| kibibytes << 10);
        Process {
            cpu_seconds: user.zip(kernel).map(|(user, kernel)| (user + kernel) / TICKS_PER_SECOND),
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            open_descriptors: None,
            descriptors_max: line(limits, "Max open files")
                .and_then(|limits| limits.split_whitespace().next()?.parse().ok()),
            start_seconds: boot
                .zip(started)
                .map(|(boot, started)| boot + started / TICKS_PER_SECOND),
        }
    }
}

/// What follows `name` on its line.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read_as_they_are_written() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1000 1 2 3";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 4096                 files\n";
        let process = Process::of(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");
        let expected = Process {
            cpu_seconds: Some(2.0),
            resident_bytes: Some(1 << 20),
            virtual_bytes: Some(2 << 20),
            open_descriptors: None,
            descriptors_max: Some(1024),
            start_seconds: Some(1_700_000_010.0),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn what_the_system_does_not_say_is_not_known() {
        assert_eq!(Process::of("", "", "", ""), Process::default());
        let unlimited = "Max open files            unlimited            unlimited            files";
        assert_eq!(Process::of("", "", unlimited, "").descriptors_max, None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let process = Process::now();
        assert!(process.resident_bytes > Some(1 << 20), "{process:?}");
        assert!(process.open_descriptors > Some(2), "{process:?}");
        assert!(process.start_seconds > Some(1_600_000_000.0), "{process:?}");
    }
}
