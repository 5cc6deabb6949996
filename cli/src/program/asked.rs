//! What the options come to. What is wrong with them is found here, before anything is touched.

use std::fmt::Display;
use std::path::Path;

use strandline_engine::clock::Clock;
use strandline_operators::decode::Decode;
use strandline_operators::window::Tumbling;
use strandline_sim::fleet::Fleet;

use super::hosts::host_addresses;
use super::trouble::Trouble;
use crate::options::{Checkpoint, Options};
use crate::{demonstration, places};

/// What is asked of a program.
pub(crate) struct Asked<D> {
    pub(crate) windows: Tumbling,
    /// With the unit of time that records have.
    pub(crate) decoder: D,
    /// An address of each process.
    pub(crate) hosts: Vec<String>,
    pub(crate) kafka_options: Vec<(String, String)>,
    /// The fleet that is simulated, if one is.
    pub(crate) fleet: Option<Fleet>,
}

impl<D: Decode> Asked<D> {
    /// What `options` ask of a program that reads records by `decoder`.
    ///
    /// # Errors
    ///
    /// What has to be changed.
    pub(crate) fn of(decoder: &D, options: &Options, clock: &Clock) -> Result<Asked<D>, Trouble> {
        let unusable = |error: &dyn Display| Trouble::Unusable(error.to_string());
        let windows = Tumbling::of(options.window)
            .ok_or_else(|| unusable(&"--window: it is not in whole milliseconds, such as 10s"))?;
        let unit = options.time_unit;
        let decoder = decoder.clone().in_time_unit(unit).ok_or_else(|| {
            unusable(&format_args!(
                "--time-unit {unit}: this program cannot read such times; leave the option out"
            ))
        })?;
        let hosts = host_addresses(options).map_err(Trouble::Unusable)?;
        let kafka_options = options.kafka_properties().map_err(Trouble::Unusable)?;
        let fleet = demonstration::fleet(options, clock)
            .map_err(|error| Trouble::Unusable(format!("{error:#}")))?;
        if let (Checkpoint::At(place), Some(_)) = (&options.checkpoint, &options.bootstrap)
            && !place.contains("://")
        {
            places::keep_apart(&options.out, Path::new(place)).map_err(Trouble::Unusable)?;
        }
        Ok(Asked { windows, decoder, hosts, kafka_options, fleet })
    }
}
