//! Random numbers that are the same in every version, build and platform, so that a seed printed
//! by a failing test still means the same next year.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", OOPSLA 2014). It is fast, small and good enough for a simulation; it is not for
//! secrets.

/// The golden ratio's odd fraction of 2^64: the step between two states.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A seeded generator.
///
/// ```
/// use strandline_sim::random::SplitMix64;
///
/// let mut random = SplitMix64::new(0);
/// assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
/// ```
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The generator number `stream` of this seed. Streams do not disturb each other: what one
    /// draws does not depend on how much the others drew.
    pub const fn stream(seed: u64, stream: u64) -> SplitMix64 {
        SplitMix64(mix(seed ^ mix(stream.wrapping_add(STEP))))
    }

    /// 64 random bits.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `bound - 1`; 0 where `bound` is 0. Uneven by less than `bound / 2^64`.
    #[inline]
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// A number in `0.0 .. 1.0`, a multiple of 2^-53.
    #[inline]
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Whether something happens that happens in this share of cases; always draws once.
    #[inline]
    pub fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// Scatters the bits of a number: equal numbers give equal bits, close ones unrelated bits.
#[inline]
pub const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of seed 1234567, as other implementations of SplitMix64 give them.
    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut random = SplitMix64::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut random = SplitMix64::stream(7, 3);
        for _ in 0..10_000 {
            assert!(random.below(10) < 10);
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert_eq!(random.below(0), 0);
        assert!(!random.happens(0.0) && random.happens(1.0));
    }

    #[test]
    fn streams_of_a_seed_differ() {
        let first = |stream| SplitMix64::stream(1, stream).next_u64();
        assert_ne!(first(0), first(1));
        assert_eq!(first(1), first(1));
    }
}
