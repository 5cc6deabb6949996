//! The thread that serves the page, its connections and their limits.
//!
//! One thread of its own, one task a connection: what a client does costs a worker nothing. Every
//! thing that a client can hold is bounded: connections (see [`connections`](crate::connections)),
//! the size and time of a request's head, the time of a response.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use strandline_engine::clock::Clock;
use strandline_engine::view::View;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::connections::Connections;
use crate::host::Hosts;
use crate::options::{Layout, PageOptions, ServeOptions};
use crate::patience::{Patience, RESPONSE_TIME_MAX};
use crate::site::Site;

/// How long the head of a request may take to arrive, and how long a connection may be silent.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long to wait after the system had no room for a further connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// Somebody else has the port.
    #[error(
        "cannot listen on {address}: the port is taken; choose another, such as \
         --listen {}:{}, or --listen none for no page", .address.ip(), other_port(.address)
    )]
    Taken {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else that stands in the way of listening.
    #[error("cannot listen on {address}: {error}; choose another address with --listen, or none")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The options name a column that the job does not have.
    #[error("the page asks for column `{column}`, but the job has {}", .known.join(", "))]
    UnknownColumn {
        /// The column asked for.
        column: String,
        /// The columns that there are.
        known: Vec<String>,
    },
    /// The system gave no thread, or no way to wait for connections.
    #[error("cannot start the page's thread: {0}")]
    Thread(#[source] io::Error),
}

fn other_port(address: &SocketAddr) -> u16 {
    address.port().checked_add(1).unwrap_or(5000)
}

/// A page that is being served. Dropped, it ends at once.
///
/// ```
/// use std::time::Duration;
/// use strandline_dashboard::{Dashboard, PageOptions};
/// use strandline_engine::table::Table;
/// use strandline_engine::view::{Snapshot, View};
/// use strandline_operators::time::EventTime;
///
/// let table = Table::new::<(u64,)>("device_id", "devices", &["count"]);
/// let page = PageOptions::for_table(&table);
/// let view = View::new(Snapshot::empty("iot-metrics", table.into(), EventTime::from_millis(0)));
/// let dashboard = Dashboard::bind("127.0.0.1:0".parse()?, view, page)?;
/// println!("http://{}/", dashboard.local_addr());
/// dashboard.shutdown(Duration::from_secs(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dashboard {
    address: SocketAddr,
    running: Option<(oneshot::Sender<Duration>, JoinHandle<()>)>,
}

impl Dashboard {
    /// Listens on `address` and serves a page about `view`, as [`serve`](Self::serve) does without
    /// further options.
    ///
    /// # Errors
    ///
    /// [`DashboardError`]: the address cannot be had, or `page` asks for columns that the job does
    /// not have.
    pub fn bind(
        address: SocketAddr,
        view: View,
        page: PageOptions,
    ) -> Result<Dashboard, DashboardError> {
        Dashboard::serve(ServeOptions::at(address), view, page)
    }

    /// Listens and serves a page about `view`. When this returns, the page can be opened. Port 0
    /// takes a free one.
    ///
    /// On a loopback address, the page answers to loopback's own names, on any other to every
    /// address and to the name of this machine; and to those names that are allowed.
    ///
    /// # Errors
    ///
    /// [`DashboardError`]: the address cannot be had, or `page` asks for columns that the job does
    /// not have.
    pub fn serve(
        options: ServeOptions,
        view: View,
        page: PageOptions,
    ) -> Result<Dashboard, DashboardError> {
        let address = options.address;
        let table = Arc::clone(&view.latest().table);
        let layout = Layout::of(page, &table).map_err(|column| DashboardError::UnknownColumn {
            column,
            known: table.columns.iter().map(|(name, _)| format!("`{name}`")).collect(),
        })?;
        let listener = Dashboard::listen(address)?;
        let address =
            listener.local_addr().map_err(|error| DashboardError::Listen { address, error })?;

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(DashboardError::Thread)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(DashboardError::Thread)?
        };
        let run = Clock::system().wall().as_millis().unsigned_abs();
        let hosts = Hosts::of(address.ip(), options.allowed_hosts);
        let site = Arc::new(Site::new(view, layout, hosts, options.follower, run));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || serve_on(&runtime, listener, site, stopped))
            .map_err(DashboardError::Thread)?;
        Ok(Dashboard { address, running: Some((stop, thread)) })
    }

    /// Listens where a page is to be served, without serving one.
    ///
    /// # Errors
    ///
    /// [`DashboardError::Taken`] and [`DashboardError::Listen`].
    pub fn listen(address: SocketAddr) -> Result<TcpListener, DashboardError> {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => DashboardError::Taken { address },
            _ => DashboardError::Listen { address, error },
        })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, completes the responses that are under way, and returns; after
    /// `limit` at the latest, whatever clients do.
    pub fn shutdown(mut self, limit: Duration) {
        self.end(limit);
    }

    fn end(&mut self, limit: Duration) {
        if let Some((stop, thread)) = self.running.take() {
            // Either can only fail if the thread has ended already.
            let _ = stop.send(limit);
            let _ = thread.join();
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

fn serve_on(
    runtime: &Runtime,
    listener: tokio::net::TcpListener,
    site: Arc<Site>,
    stopped: oneshot::Receiver<Duration>,
) {
    runtime.block_on(async {
        let connections = GracefulShutdown::new();
        // A sender that is gone without a word means the same as one that says "at once".
        let limit = tokio::select! {
            limit = stopped => limit.unwrap_or_default(),
            never = accept(&listener, site, &connections) => match never {},
        };
        drop(listener);
        // What is not done by then is dropped with the runtime.
        let _ = tokio::time::timeout(limit, connections.shutdown()).await;
    });
}

async fn accept(
    listener: &tokio::net::TcpListener,
    site: Arc<Site>,
    graceful: &GracefulShutdown,
) -> Infallible {
    let connections = Arc::new(Connections::default());
    loop {
        // An error is a connection that went away again, or no descriptors left: neither is the
        // listener's end.
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Fails for a connection that is gone again.
        let _ = stream.set_nodelay(true);
        let (place, closed) = connections.admit(peer.ip());
        let (site, place) = (Arc::clone(&site), Arc::new(place));
        let of_requests = Arc::clone(&place);
        let service = service_fn(move |request| {
            of_requests.note_request();
            let mut response = site.respond(&request);
            if of_requests.should_close() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patience::new(stream, RESPONSE_TIME_MAX)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // A client that goes away, stalls or sends nonsense ends its own connection only.
                _ = connection => {}
                // Others need the place.
                _ = closed => {}
            }
            drop(place);
        });
    }
}
