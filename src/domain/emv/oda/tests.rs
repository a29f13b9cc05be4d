//! Whole conversations with cards that sign, and real certificate chains.
use super::*;

/// The strongest method that both have is chosen; XDA is passed over, because this terminal has it not.
#[test]
fn the_strongest_common_method_is_chosen() {
    let check = |card: u8, terminal: u8, expected| {
        assert_eq!(
            choose(Aip::new([card, 0]), Capabilities::new([0, 0, terminal])),
            expected,
            "{card:02X} {terminal:02X}"
        );
    };
    check(0xE1, 0xC8, Some(Method::Cda));
    check(0xE0, 0xCC, Some(Method::Dda));
    check(0x61, 0xC0, Some(Method::Dda));
    check(0x41, 0xC0, Some(Method::Sda));
    check(0x61, 0x80, Some(Method::Sda));
    check(0x21, 0x80, None);
    check(0x80, 0xCC, None);
    check(0x00, 0xCC, None);
    check(0x61, 0x00, None);
}
