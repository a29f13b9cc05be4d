//! Chance: where a world could go wrong it asks here, and is told how it goes this time.
//!
//! Every such place is a *site* with a number of ways to go on; way 0 is the good one. Sites are numbered in the order
//! in which a world reaches them, so the same answers give the same world, to the letter of its trace.
//! A script names the few sites that go wrong (the exhaustive driver); a seed draws them (long days).

/// SplitMix64: a state of 64 bits, no bad seeds, equal on every machine.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants of Vigna's
/// public-domain `splitmix64.c`.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Begins with a seed; every seed is as good as another.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0. The bias is below 2^-32 for the small numbers of a world.
    pub const fn below(&mut self, end: u32) -> u32 {
        let wide = (self.draw() >> 32) * end as u64;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the upper half of a product of two 32-bit numbers"
        )]
        let high = (wide >> 32) as u32;
        high
    }

    /// True `n` times in a thousand.
    pub const fn per_mille(&mut self, n: u32) -> bool {
        self.below(1000) < n
    }
}

/// One site that goes wrong: its number and the way it goes.
pub type Wrong = (u32, u8);

/// Answers every site of one world.
#[derive(Clone, Debug)]
pub struct Chance {
    draws: Draws,
    /// Ways of each site so far; only a scripted world keeps them.
    ways: Vec<u8>,
    sites: u32,
}

#[derive(Clone, Debug)]
enum Draws {
    /// These sites go wrong, in rising order; all others go well.
    Script(Vec<Wrong>),
    /// So many sites of a thousand go wrong, each in any of its ways.
    Seed { chance: SplitMix64, per_mille: u32 },
    /// Everything goes well from here on.
    Calm,
}

impl Chance {
    /// A world in which these sites go wrong.
    #[must_use]
    pub fn script(wrong: &[Wrong]) -> Self {
        Self { draws: Draws::Script(wrong.to_vec()), ways: Vec::new(), sites: 0 }
    }

    /// A world in which `per_mille` of all sites go wrong.
    #[must_use]
    pub const fn seeded(seed: u64, per_mille: u32) -> Self {
        let draws = Draws::Seed { chance: SplitMix64::new(seed), per_mille };
        Self { draws, ways: Vec::new(), sites: 0 }
    }

    /// How it goes at the next site, which has ways `0..ways`.
    pub fn way(&mut self, ways: u8) -> u8 {
        let site = self.sites;
        self.sites = site.wrapping_add(1);
        match &mut self.draws {
            Draws::Script(wrong) => {
                self.ways.push(ways);
                let way = wrong.iter().find(|(at, _)| *at == site).map_or(0, |(_, way)| *way);
                if way < ways { way } else { 0 }
            }
            Draws::Seed { chance, per_mille } => {
                if ways < 2 || !chance.per_mille(*per_mille) {
                    return 0;
                }
                let wrong = chance.below(u32::from(ways.saturating_sub(1)));
                u8::try_from(wrong).unwrap_or(0).saturating_add(1)
            }
            Draws::Calm => 0,
        }
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.draws = Draws::Calm;
    }

    /// How many ways each site had that a scripted world reached, up to where it became calm.
    #[must_use]
    pub fn ways(&self) -> &[u8] {
        &self.ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the generator is the published one, so that a seed means the same for ever.
    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut chance = SplitMix64::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| chance.draw()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    /// Goal: a script makes exactly the sites go wrong that it names.
    #[test]
    fn a_script_is_followed() {
        let mut chance = Chance::script(&[(1, 2), (3, 9)]);
        assert_eq!([3, 3, 3, 3].map(|ways| chance.way(ways)), [0, 2, 0, 0]);
        assert_eq!(chance.ways(), [3, 3, 3, 3]);
    }
}
