//! How the pages of Parquet files are compressed.

use std::fmt;
use std::str::FromStr;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};

/// A codec of Parquet. All readers know Snappy; Zstandard makes smaller files, and some readers
/// (such as those in JavaScript) do not know it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum ParquetCodec {
    /// Zstandard.
    #[default]
    Zstd,
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip,
    /// LZ4, as Parquet's `LZ4_RAW`.
    Lz4,
    /// None.
    Uncompressed,
}

impl ParquetCodec {
    /// All of them.
    pub const ALL: [ParquetCodec; 5] = [
        ParquetCodec::Zstd,
        ParquetCodec::Snappy,
        ParquetCodec::Gzip,
        ParquetCodec::Lz4,
        ParquetCodec::Uncompressed,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ParquetCodec::Zstd => "zstd",
            ParquetCodec::Snappy => "snappy",
            ParquetCodec::Gzip => "gzip",
            ParquetCodec::Lz4 => "lz4",
            ParquetCodec::Uncompressed => "uncompressed",
        }
    }

    pub(super) fn compression(self) -> Compression {
        match self {
            ParquetCodec::Zstd => Compression::ZSTD(ZstdLevel::default()),
            ParquetCodec::Snappy => Compression::SNAPPY,
            ParquetCodec::Gzip => Compression::GZIP(GzipLevel::default()),
            ParquetCodec::Lz4 => Compression::LZ4_RAW,
            ParquetCodec::Uncompressed => Compression::UNCOMPRESSED,
        }
    }
}

impl fmt::Display for ParquetCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// It is not the name of a codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("zstd, snappy, gzip, lz4 or uncompressed")]
pub struct UnknownCodec;

impl FromStr for ParquetCodec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<ParquetCodec, UnknownCodec> {
        let known = ParquetCodec::ALL.into_iter().find(|codec| codec.name() == name);
        known.ok_or(UnknownCodec)
    }
}
