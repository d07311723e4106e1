//! Base64 as RFC 4648 has it, without padding.

use super::{MOST_BYTES, PackedError};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the text of bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 4).div_ceil(3));
    for group in bytes.chunks(3) {
        let [first, second, third] = [0, 1, 2].map(|place| group.get(place).copied().unwrap_or(0));
        let four = u32::from_be_bytes([0, first, second, third]);
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(four >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// Returns the bytes of a text; bits that no byte needs must be zero, so that a value has one text.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, PackedError> {
    if text.len() > (MOST_BYTES * 4).div_ceil(3) {
        return Err(PackedError::Long);
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.as_bytes().chunks(4) {
        let mut four = 0_u32;
        for (place, letter) in group.iter().enumerate() {
            four |= u32::from(value(*letter).ok_or(PackedError::Text)?) << (18 - 6 * place);
        }
        let whole = match group.len() {
            1 => return Err(PackedError::Text),
            letters => letters - 1,
        };
        let found = four.to_be_bytes();
        if found[1 + whole..].iter().any(|byte| *byte != 0) {
            return Err(PackedError::Text);
        }
        bytes.extend(&found[1..=whole]);
    }
    Ok(bytes)
}

fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decode("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
        for wrong in ["A", "Zg=", "Zh", "Zm9", "Z g", "Zg\n", "é"] {
            assert_eq!(decode(wrong), Err(PackedError::Text), "{wrong:?}");
        }
    }
}
