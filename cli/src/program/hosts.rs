//! Where the processes of a job are.

use strandline_engine::text_file;

use crate::options::Options;

/// The first port of the processes of a job where no host file is given: timely's.
const FIRST_PORT: usize = 2101;

/// An address of each process.
///
/// # Errors
///
/// What is wrong with the file of hosts, in a line.
pub(crate) fn host_addresses(options: &Options) -> Result<Vec<String>, String> {
    let file = options.hostfile.as_ref().filter(|_| options.processes > 1);
    let mut addresses = match file {
        None => (0..options.processes).map(|i| format!("localhost:{}", FIRST_PORT + i)).collect(),
        Some(path) => {
            let hosts = text_file::read(path)
                .map_err(|error| format!("--hostfile {}: {error}", path.display()))?;
            let lines = hosts.lines().map(str::trim).enumerate();
            let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
            let has_port = |line: &str| {
                line.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
                })
            };
            if let Some((number, line)) = lines.iter().find(|(_, line)| !has_port(line)) {
                return Err(format!(
                    "--hostfile {}: line {}: `{line}` is not a host and a port, such as job-0:2101",
                    path.display(),
                    number + 1
                ));
            }
            lines.into_iter().map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
        }
    };
    if addresses.len() < options.processes {
        return Err(format!(
            "--hostfile names {} hosts for {} processes",
            addresses.len(),
            options.processes
        ));
    }
    addresses.truncate(options.processes);
    Ok(addresses)
}

/// How timely lays out the workers.
pub(super) fn timely_config(options: &Options, hosts: &[String]) -> timely::Config {
    let threads = options.workers();
    if options.processes == 1 {
        return timely::Config::process(threads);
    }
    let communication = timely::CommunicationConfig::Cluster {
        threads,
        process: options.process,
        addresses: hosts.to_vec(),
        report: false,
        zerocopy: false,
    };
    timely::Config { communication, worker: timely::WorkerConfig::default() }
}
