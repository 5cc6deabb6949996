//! A bucket of S3, or of what speaks its protocol.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{ClientConfigKey, Error, ObjectStore, PutMode, PutPayload, RetryConfig};

use crate::checkpoint::blobs::BlobEntry;

/// How long one request may take: state of some gigabytes goes through a slow line in that time.
const REQUEST_LIMIT: Duration = Duration::from_secs(300);
/// How often a request that changes nothing is repeated.
const RETRIES_MAX: usize = 4;
/// How long after the first attempt it is still repeated.
const RETRY_LIMIT: Duration = Duration::from_secs(15);

/// Where in which bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Repeats nothing. A put that was repeated because its answer was lost would find its own
    /// blob, and report that somebody else has taken the name.
    putting: Arc<AmazonS3>,
    reading: Arc<AmazonS3>,
    prefix: Path,
}

impl Bucket {
    /// `BUCKET` or `BUCKET/PREFIX`, with the settings of the environment.
    pub(super) fn from_env(rest: &str) -> Result<Bucket, Error> {
        Bucket::of(AmazonS3Builder::from_env(), rest)
    }

    /// `BUCKET` or `BUCKET/PREFIX`, with the settings of `builder`.
    pub(super) fn of(builder: AmazonS3Builder, rest: &str) -> Result<Bucket, Error> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let mut builder = builder
            .with_bucket_name(bucket)
            // Whatever the environment says: everything rests on it.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_config(
                AmazonS3ConfigKey::Client(ClientConfigKey::Timeout),
                format!("{} seconds", REQUEST_LIMIT.as_secs()),
            );
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        // Who writes http:// means it.
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            builder = builder.with_allow_http(true);
        }
        let retry = |max_retries| RetryConfig {
            max_retries,
            retry_timeout: RETRY_LIMIT,
            ..RetryConfig::default()
        };
        let reading = builder.clone().with_retry(retry(RETRIES_MAX)).build()?;
        let credentials = Arc::clone(reading.credentials());
        let putting = builder.with_retry(retry(0)).with_credentials(credentials).build()?;
        let prefix = Path::parse(prefix)?;
        Ok(Bucket { putting: Arc::new(putting), reading: Arc::new(reading), prefix })
    }

    /// Stores an object of that name, unless there is one.
    pub(super) async fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        let mode = PutMode::Create.into();
        self.putting.put_opts(&self.path(name), PutPayload::from(bytes), mode).await.map(drop)
    }

    pub(super) fn reading(&self) -> Arc<dyn ObjectStore> {
        Arc::<AmazonS3>::clone(&self.reading)
    }

    pub(super) fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// What is directly below the prefix.
    pub(super) async fn list(&self) -> Result<Vec<BlobEntry>, Error> {
        let listed = self.reading.list_with_delimiter(Some(&self.prefix)).await?;
        let entries = listed.objects.into_iter().filter_map(|meta| {
            let name = meta.location.filename()?.to_owned();
            Some(BlobEntry { name, bytes: meta.size })
        });
        Ok(entries.collect())
    }
}

/// What to do about an error. Of a listing, the crate passes on what the server said as text alone.
pub(super) fn advice(error: &Error) -> &'static str {
    let said = error.to_string();
    match error {
        Error::NotFound { .. } => "create the bucket, or name another",
        _ if said.contains("NoSuchBucket") => "create the bucket, or name another",
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ACCESS,
        _ if said.contains("403 Forbidden") => ACCESS,
        _ => "check AWS_ENDPOINT_URL, AWS_REGION and the network",
    }
}

const ACCESS: &str =
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they allow in that bucket";

/// A number that no other process has.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
