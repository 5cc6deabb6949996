//! From a request to a response.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use strandline_engine::report::Log;
use strandline_engine::view::{Snapshot, View};

use crate::accept::{Format, negotiate};
use crate::assets::Asset;
use crate::documents::Documents;
use crate::exposition::{Told, exposition};
use crate::host::{HostError, Hosts};
use crate::options::{Follower, Layout};
use crate::process::Process;
use crate::query::Query;
use crate::shown::Shown;
use crate::{page, readiness};

/// What the page may load: its own files and nothing else; and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On every response.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The number of the snapshot that a response tells of.
const SNAPSHOT: HeaderName = HeaderName::from_static("strandline-snapshot");

/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Answers requests about one job.
#[derive(Debug)]
pub(crate) struct Site {
    view: View,
    layout: Layout,
    hosts: Hosts,
    /// Where the job is shown, if not here.
    follower: Option<Follower>,
    /// Tells the snapshots of this run from those of another, in tags.
    run: u64,
    documents: Documents,
}

/// A body with its type.
struct Content {
    content_type: &'static str,
    bytes: Bytes,
}

impl Site {
    pub(crate) fn new(
        view: View,
        layout: Layout,
        hosts: Hosts,
        follower: Option<Follower>,
        run: u64,
    ) -> Site {
        Site { view, layout, hosts, follower, run, documents: Documents::default() }
    }

    /// The response to a request. A body that came with it is not looked at.
    pub(crate) fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut response = self.route(request);
        for (name, value) in ALWAYS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if request.method() == Method::HEAD {
            let length = HeaderValue::from(body_bytes(&response));
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
            *response.body_mut() = Full::default();
        }
        response
    }

    fn route<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        match self.hosts.check(request) {
            Ok(()) => {}
            Err(HostError::Malformed) => {
                return said(StatusCode::BAD_REQUEST, "The request names no host, or several.\n");
            }
            Err(HostError::Foreign) => {
                let known = match self.hosts.bound() {
                    bound if bound.is_loopback() => "localhost",
                    _ => "addresses, localhost and the name of its machine",
                };
                let text = format!(
                    "This page does not answer to the name of the host that was asked for, only to \
                     {known}. Start the job with --allow-host NAME to allow another name.\n"
                );
                return said(StatusCode::MISDIRECTED_REQUEST, text);
            }
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let text = "This page is for reading: GET or HEAD.\n";
            let mut response = said(StatusCode::METHOD_NOT_ALLOWED, text);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let (headers, query) = (request.headers(), request.uri().query().unwrap_or_default());
        match request.uri().path() {
            "/healthz" => said(StatusCode::OK, "the process lives\n"),
            "/readyz" => self.readiness(headers, query),
            "/metrics" => self.metrics(headers, query),
            "/" | "/api/view" if self.follower.is_some() => self.elsewhere(),
            "/" => self.page(headers, query),
            "/api/view" => self.shown(headers, query),
            path => match path.strip_prefix("/assets/").and_then(Asset::at) {
                Some(asset) => file(asset, headers),
                None => {
                    let text = "There are /, /metrics, /api/view, /healthz and /readyz here.\n";
                    said(StatusCode::NOT_FOUND, text)
                }
            },
        }
    }

    fn page(&self, headers: &HeaderMap, query: &str) -> Response<Full<Bytes>> {
        let (snapshot, query) = (self.view.latest(), Query::parse(query));
        self.data(&snapshot, "page", headers, || {
            let shown = Shown::of(&snapshot, &self.layout, &query);
            let html = || page::html(&shown, &self.layout, &query).ok().map(String::into_bytes);
            let bytes = self.documents.hold(html)?;
            Some(Content { content_type: "text/html; charset=utf-8", bytes })
        })
    }

    fn shown(&self, headers: &HeaderMap, query: &str) -> Response<Full<Bytes>> {
        let (snapshot, query) = (self.view.latest(), Query::parse(query));
        self.data(&snapshot, "view", headers, || {
            let shown = Shown::of(&snapshot, &self.layout, &query);
            let bytes = self.documents.hold(|| serde_json::to_vec(&shown).ok())?;
            Some(Content { content_type: "application/json", bytes })
        })
    }

    /// What a process says that does not know the job, but for its condition.
    fn elsewhere(&self) -> Response<Full<Bytes>> {
        let Some(Follower { process, processes, leader }) = &self.follower else {
            return said(StatusCode::NOT_FOUND, "");
        };
        let conditions = &self.view.latest().conditions;
        let text = format!(
            "This is process {process} of {processes} (0 to {}). The job is shown by process 0, at \
             {leader}\nThe job: {}\n",
            processes - 1,
            conditions.headline()
        );
        said(StatusCode::NOT_FOUND, text)
    }

    fn readiness(&self, headers: &HeaderMap, query: &str) -> Response<Full<Bytes>> {
        let conditions = &self.view.latest().conditions;
        let format = match asked_format(query) {
            Ok(Some(format)) => format,
            Ok(None) => match names_json(headers) {
                true => Format::Json,
                false => Format::Prometheus,
            },
            Err(response) => return *response,
        };
        let status = match conditions.is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = match format {
            Format::Json => match readiness::json(conditions) {
                Some(bytes) => with_content(Content {
                    content_type: format.content_type(),
                    bytes: bytes.into(),
                }),
                None => Response::new(Full::default()),
            },
            Format::Prometheus | Format::OpenMetrics => said(status, readiness::text(conditions)),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        response
    }

    fn metrics(&self, headers: &HeaderMap, query: &str) -> Response<Full<Bytes>> {
        let snapshot = self.view.latest();
        let accept = headers.get_all(header::ACCEPT).iter();
        let format = match asked_format(query) {
            Ok(Some(format)) => format,
            Ok(None) => negotiate(accept.filter_map(|value| value.to_str().ok())),
            Err(response) => return *response,
        };
        let content_type = format.content_type();
        let mut response = match (format, &self.follower) {
            (Format::Json, None) => {
                let bytes = || self.documents.json(&snapshot);
                let content = || bytes().map(|bytes| Content { content_type, bytes });
                self.data(&snapshot, "json", headers, content)
            }
            (Format::Json, Some(follower)) => {
                let document = serde_json::json!({
                    "process": follower.process,
                    "leader": follower.leader,
                    "conditions": snapshot.conditions,
                });
                self.unnamed(&snapshot, content_type, || document.to_string())
            }
            // What this process uses changes whatever the job does: there is no name for it.
            (Format::Prometheus | Format::OpenMetrics, follower) => {
                let told = Told {
                    snapshot: &snapshot,
                    measures: &self.view.telemetry().measures(),
                    process: &Process::now(),
                    log_lines_dropped: Log::stderr().dropped(),
                    leads: follower.is_none(),
                };
                let is_open = format == Format::OpenMetrics;
                self.unnamed(&snapshot, content_type, || exposition(&told, is_open))
            }
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        response
    }

    /// A response that is sent anew each time.
    fn unnamed(
        &self,
        snapshot: &Snapshot,
        content_type: &'static str,
        text: impl FnOnce() -> String,
    ) -> Response<Full<Bytes>> {
        let Some(bytes) = self.documents.hold(|| Some(text().into_bytes())) else {
            return busy();
        };
        let mut response = with_content(Content { content_type, bytes });
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(SNAPSHOT, HeaderValue::from(snapshot.number));
        response
    }

    /// A response that is a function of the snapshot: 304 where the client has it, 503 where there
    /// is no content just now.
    fn data(
        &self,
        snapshot: &Snapshot,
        what: &str,
        headers: &HeaderMap,
        content: impl FnOnce() -> Option<Content>,
    ) -> Response<Full<Bytes>> {
        let etag = format!("\"{:x}-{}-{what}\"", self.run, snapshot.number);
        let mut response = if has(headers, &etag) {
            unchanged()
        } else if let Some(content) = content() {
            with_content(content)
        } else {
            return busy();
        };
        let headers = response.headers_mut();
        set(headers, header::ETAG, &etag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(SNAPSHOT, HeaderValue::from(snapshot.number));
        response
    }
}

/// A file of the page: a browser keeps it, and asks each time whether it is still the same.
fn file(asset: &'static Asset, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let etag = asset.etag();
    let mut response = if has(headers, &etag) {
        unchanged()
    } else {
        let bytes = Bytes::from_static(asset.bytes);
        with_content(Content { content_type: asset.content_type, bytes })
    };
    set(response.headers_mut(), header::ETAG, &etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The format that a query names, if it names one.
fn asked_format(query: &str) -> Result<Option<Format>, Box<Response<Full<Bytes>>>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, name)) = pairs.find(|(key, _)| *key == "format") else { return Ok(None) };
    Format::named(name).map(Some).ok_or_else(|| {
        let text = "There are format=json, format=prometheus (or text) and format=openmetrics.\n";
        Box::new(said(StatusCode::BAD_REQUEST, text))
    })
}

/// Whether JSON is asked for by its name: whoever takes anything is a person or a probe.
fn names_json(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
}

/// Whether the client has what the tag stands for.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

fn with_content(content: Content) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content.bytes));
    let content_type = HeaderValue::from_static(content.content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Slow clients hold as much as may be in memory.
fn busy() -> Response<Full<Bytes>> {
    let text = "Too much is being sent to slow clients: try again.\n";
    let mut response = said(StatusCode::SERVICE_UNAVAILABLE, text);
    let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

fn unchanged() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// A line of text for a person.
fn said(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let content_type = "text/plain; charset=utf-8";
    let mut response = with_content(Content { content_type, bytes: text.into() });
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn body_bytes(response: &Response<Full<Bytes>>) -> u64 {
    hyper::body::Body::size_hint(response.body()).lower()
}

/// Sets a header whose value is of our making, and so is one.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
