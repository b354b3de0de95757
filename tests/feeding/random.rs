use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// The one in `SIGNALCAST_SEED`, or another one for each run; shown when the test fails.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = env::var("SIGNALCAST_SEED").map_or_else(
        |_| u64::from(now.subsec_nanos()),
        |seed| seed.parse().unwrap(),
    );
    eprintln!("SIGNALCAST_SEED={seed}");
    seed
}
