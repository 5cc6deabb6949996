//! A Kafka with TLS and logins, for tests, also of other packages, which include this file. Its
//! certificates are made by `openssl`; its users are [`READER`], who may do everything, [`LOOKER`],
//! who may only look at topics, and [`STRANGER`], who may do nothing.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test target uses a part of this module, and `expect` would fail in the other"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) const READER: &str = "reader";
pub(crate) const LOOKER: &str = "looker";
pub(crate) const STRANGER: &str = "stranger";
/// The password of all of them.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// Which listener of the broker.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Without TLS, without a login, with all rights.
    Plaintext = 0,
    Tls = 2,
    SaslTls = 3,
    SaslPlaintext = 4,
    /// TLS with a certificate that has expired.
    Expired = 5,
    /// TLS with a certificate for another host.
    OtherHost = 6,
    /// TLS with a certificate of the client.
    Mutual = 7,
}

const PORTS: u16 = 8;

/// A broker that ends when the last test of it does.
pub(crate) struct SecureBroker {
    first_port: u16,
    directory: tempfile::TempDir,
}

impl SecureBroker {
    /// The one that runs, or else a new one: it takes some seconds to start.
    pub(crate) fn shared() -> Arc<SecureBroker> {
        static SHARED: Mutex<Weak<SecureBroker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(SecureBroker::start());
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    fn start() -> SecureBroker {
        let broker =
            SecureBroker { first_port: free_ports(), directory: tempfile::tempdir().unwrap() };
        let mut made = Command::new("sh");
        made.arg("-ec").arg(CERTIFICATES).current_dir(broker.path());
        let made = made.output().expect("certificates are made by openssl: install it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        write(&broker.file("broker.properties"), &broker.properties());
        write(&broker.file("password"), &format!("{PASSWORD}\n"));
        write(&broker.file("wrong-password"), "hunter2\n");
        broker.run("start");
        broker.allow_describe(LOOKER);
        broker
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file of the broker: `ca.pem`, `other-ca.pem`, `client.pem`, `password`, `wrong-password`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn file_text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// The address of a listener.
    pub(crate) fn bootstrap(&self, listener: Listener) -> String {
        format!("localhost:{}", self.first_port + listener as u16)
    }

    fn run(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
        let users = [READER, LOOKER, STRANGER].map(|user| format!("{user}:{PASSWORD}"));
        let output = Command::new(script)
            .arg(command)
            .env("STRANDLINE_KAFKA_PORT", self.first_port.to_string())
            .env("STRANDLINE_KAFKA_DATA", self.file("data"))
            .env("STRANDLINE_KAFKA_HEAP", "512m")
            .env("STRANDLINE_KAFKA_PROPERTIES", self.file("broker.properties"))
            .env("STRANDLINE_KAFKA_SCRAM", users.join(" "))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn properties(&self) -> String {
        let names = [
            ("PLAINTEXT", "PLAINTEXT"),
            ("CONTROLLER", "PLAINTEXT"),
            ("SSL", "SSL"),
            ("SASL_SSL", "SASL_SSL"),
            ("SASL_PLAINTEXT", "SASL_PLAINTEXT"),
            ("EXPIRED", "SSL"),
            ("OTHERHOST", "SSL"),
            ("MUTUAL", "SSL"),
        ];
        let address = |at: usize, host: &str| {
            format!("{}://{host}:{}", names[at].0, usize::from(self.first_port) + at)
        };
        let listeners: Vec<_> = (0..names.len()).map(|at| address(at, "127.0.0.1")).collect();
        let advertised: Vec<_> =
            (0..names.len()).filter(|&at| at != 1).map(|at| address(at, "localhost")).collect();
        let protocols = names.map(|(name, protocol)| format!("{name}:{protocol}")).join(",");
        let users = [READER, LOOKER, STRANGER].map(|user| format!("user_{user}=\"{PASSWORD}\""));
        let kafka = "org.apache.kafka.common.security";
        let mut text = format!(
            "listeners={}\nadvertised.listeners={}\nlistener.security.protocol.map={protocols}\n\
             ssl.keystore.type=PEM\nssl.truststore.type=PEM\n\
             ssl.keystore.location={}\nssl.truststore.location={}\n\
             listener.name.expired.ssl.keystore.location={}\n\
             listener.name.otherhost.ssl.keystore.location={}\n\
             listener.name.mutual.ssl.client.auth=required\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:{READER};User:CN=client\n",
            listeners.join(","),
            advertised.join(","),
            self.file_text("broker.pem"),
            self.file_text("ca.pem"),
            self.file_text("expired.pem"),
            self.file_text("otherhost.pem"),
        );
        for listener in ["sasl_ssl", "sasl_plaintext"] {
            let jaas = |mechanism: &str, module: &str, rest: &str| {
                format!(
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config={kafka}.{module} \
                     required {rest};\n"
                )
            };
            text += &jaas("plain", "plain.PlainLoginModule", &users.join(" "));
            text += &jaas("scram-sha-256", "scram.ScramLoginModule", "");
            text += &jaas("scram-sha-512", "scram.ScramLoginModule", "");
            text += &jaas("oauthbearer", "oauthbearer.OAuthBearerLoginModule", "");
            // A connection ends with the token that opened it, unless it brings another one.
            text += &format!(
                "listener.name.{listener}.oauthbearer.connections.max.reauth.ms=3600000\n"
            );
        }
        text
    }

    /// Lets a user look at all topics, and not read them: a request CreateAcls, by hand.
    fn allow_describe(&self, user: &str) {
        let string = |text: &str| {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            [&length[..], text.as_bytes()].concat()
        };
        let (create_acls, version, correlation) = (30_u16, 1_u16, 7_u32);
        let (topic, literal, describe, allow) = (2_u8, 3_u8, 8_u8, 3_u8);
        let request = [
            &create_acls.to_be_bytes()[..],
            &version.to_be_bytes(),
            &correlation.to_be_bytes(),
            &string("test"),
            &1_u32.to_be_bytes(),
            &[topic],
            &string("*"),
            &[literal],
            &string(&format!("User:{user}")),
            &string("*"),
            &[describe, allow],
        ]
        .concat();
        let mut stream = TcpStream::connect(self.bootstrap(Listener::Plaintext)).unwrap();
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        // Length, correlation id, pause, number of results, error code of the first.
        let mut answer = [0; 18];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[16..], [0, 0], "CreateAcls: {answer:?}");
    }
}

impl Drop for SecureBroker {
    fn drop(&mut self) {
        self.run("kill");
    }
}

/// Two authorities; certificates of the first for this host, for another, expired, and of a client.
const CERTIFICATES: &str = r#"
    key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for ca in ca other-ca; do
        openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 30 -subj "/CN=$ca" \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
    done
    leaf() { # NAME SUBJECT-ALTERNATIVE-NAMES DAYS
        openssl req $key -keyout $1.key -out $1.csr -subj "/CN=$1"
        printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$2" >$1.ext
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.crt \
            -extfile $1.ext -days "$3"
        cat $1.key $1.crt ca.pem >$1.pem
    }
    leaf broker DNS:localhost,IP:127.0.0.1 30
    leaf client DNS:client 30
    leaf otherhost DNS:kafka.example 30
    leaf expired DNS:localhost,IP:127.0.0.1 -1
"#;

#[expect(clippy::disallowed_methods, reason = "a test writes files as a user does")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// The first of [`PORTS`] ports that are free.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Some(last) = first.checked_add(PORTS - 1) else { continue };
        if (first..=last).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}
