//! Properties of the Kafka client, and how a secret among them gets into the program: by a file or by
//! the environment, where other users of the machine do not see it.

use std::fmt;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use strandline_engine::source::kafka::{is_property, is_secret};

/// A property of the client. Its value is not shown where it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaOption {
    /// Such as `fetch.min.bytes`.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for KafkaOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret may be given together with what is none.
        for (at, (name, value)) in listed(self.clone()).iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let value = if is_secret(name) { "***" } else { value };
            write!(f, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

/// A property whose value is in a file, such as a mounted secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptionFile {
    /// Such as `sasl.password`.
    pub name: String,
    /// The file. White space at its end is not part of the value.
    pub path: PathBuf,
}

/// Reads `NAME=VALUE`. What is wrong is told without the text: it may be a secret with a slip of the
/// pen in it.
#[derive(Clone, Debug)]
pub(crate) struct KafkaOptionParser;

impl TypedValueParser for KafkaOptionParser {
    type Value = KafkaOption;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<KafkaOption, clap::Error> {
        let pair = value.to_str().and_then(|text| text.split_once('='));
        let named = pair.filter(|(name, _)| !name.trim().is_empty());
        let (name, value) = named.ok_or_else(|| not_a_pair(command, argument, "VALUE"))?;
        Ok(KafkaOption { name: name.trim().to_owned(), value: value.to_owned() })
    }
}

/// Reads `NAME=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct KafkaOptionFileParser;

impl TypedValueParser for KafkaOptionFileParser {
    type Value = KafkaOptionFile;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<KafkaOptionFile, clap::Error> {
        let pair = value.to_str().and_then(|text| text.split_once('='));
        let named = pair.filter(|(name, path)| !name.trim().is_empty() && !path.is_empty());
        let (name, path) = named.ok_or_else(|| not_a_pair(command, argument, "FILE"))?;
        Ok(KafkaOptionFile { name: name.trim().to_owned(), path: path.into() })
    }
}

fn not_a_pair(command: &Command, argument: Option<&Arg>, what: &str) -> clap::Error {
    let option = argument.and_then(Arg::get_long).unwrap_or("kafka-option");
    let line = format!("--{option}: a property is written NAME={what}\n");
    clap::Error::raw(ErrorKind::ValueValidation, line).with_cmd(command)
}

/// Takes apart what was given as one value: a variable can only be set once. A comma, or the end of a
/// line, begins another property where the name of one and `=` come next.
pub(crate) fn listed(given: KafkaOption) -> Vec<(String, String)> {
    let (mut name, mut value) = (given.name, String::new());
    let mut listed = Vec::new();
    for part in given.value.split_inclusive([',', '\n']) {
        let next = part.split_once('=').filter(|(name, _)| is_property(name.trim()));
        match next.filter(|_| !value.is_empty()) {
            Some((next, rest)) => {
                value.truncate(value.trim_end_matches([',', '\n', ' ']).len());
                listed.push((std::mem::replace(&mut name, next.trim().to_owned()), value));
                value = rest.to_owned();
            }
            None => value.push_str(part),
        }
    }
    listed.push((name, value));
    listed
}

/// The properties of a file as Kafka's own tools and providers write them: `name=value` lines;
/// empty lines and lines that begin with `#` or `!` are comments.
pub(crate) fn properties(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut properties = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {}: a property is written NAME=VALUE", index + 1));
        };
        properties.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(properties)
}

/// Which secrets a command line holds, where every user of the machine can read them.
pub(crate) fn on_command_line(matches: &ArgMatches) -> Vec<String> {
    if matches.value_source("kafka_option") != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    let given = matches.get_many::<KafkaOption>("kafka_option").into_iter().flatten();
    let given = given.cloned().flat_map(listed);
    given.map(|(name, _)| name).filter(|name| is_secret(name)).collect()
}

/// What is said of a secret on the command line.
pub(crate) fn warning(name: &str) -> String {
    format!(
        "warning: {name} is on the command line, where every user of this machine can read it: put it \
         into a file and say --kafka-option-file {name}=FILE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_properties_may_be_given_in_one_variable() {
        let given = |value: &str| {
            let (name, value) = value.split_once('=').unwrap();
            let given = KafkaOption { name: name.to_owned(), value: value.to_owned() };
            let listed = listed(given).into_iter();
            listed.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let two = ["fetch.min.bytes=1", "client.id=rooms"];
        assert_eq!(given("fetch.min.bytes=1,client.id=rooms"), two);
        assert_eq!(given("fetch.min.bytes=1, client.id=rooms"), two);
        assert_eq!(given("fetch.min.bytes=1\nclient.id=rooms"), two);
        // Values with commas of their own.
        assert_eq!(
            given("debug=broker,topic,client.id=a,b"),
            ["debug=broker,topic", "client.id=a,b"]
        );
        let oauth = "sasl.oauthbearer.config=principalClaimName=x,scope=y";
        assert_eq!(given(oauth), [oauth]);
        assert_eq!(given("no.such.thing="), ["no.such.thing="]);
    }

    #[test]
    fn a_file_of_properties_is_read_as_kafkas_tools_read_it() {
        let text = "# from the provider\n\nsecurity.protocol=SASL_SSL\n sasl.username = KEY \n\
                    sasl.password=a=b#c\n! end\n";
        let pairs = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.username", "KEY"),
            ("sasl.password", "a=b#c"),
        ];
        assert_eq!(properties(text).unwrap(), pairs.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let error = properties("a=b\nhunter2\n").unwrap_err();
        assert_eq!(error, "line 2: a property is written NAME=VALUE");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let password = KafkaOption { name: "sasl.password".into(), value: "hunter2".into() };
        assert_eq!(format!("{password:?}"), "sasl.password=***");
        let user = KafkaOption { name: "sasl.username".into(), value: "reader".into() };
        assert_eq!(format!("{user:?}"), "sasl.username=reader");
        let both = "a,sasl.password=hunter2".to_owned();
        let both = KafkaOption { name: "client.id".into(), value: both };
        assert_eq!(format!("{both:?}"), "client.id=a,sasl.password=***");
    }
}
