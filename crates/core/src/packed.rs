//! Answers and item results as few bytes: what frames carry as text and the database as blobs.
//!
//! ```text
//! version  1 byte   1
//! task     1 byte   0 classes, 1 labels, 2 numbers
//! examples 4 bytes
//! width    4 bytes  classes: bits of one; labels: how many there are; numbers: 32
//! answers           width bits an example, the lowest bit first, filled up to a byte; a number is an f32
//! ```
//!
//! Item results go on with
//!
//! ```text
//! exponent 1 byte   losses are in units of 2^exponent
//! losses   2 bytes  an example: IEEE 754 binary16, rounded to nearest
//! ```
//!
//! All of it little-endian. A loss is so off by at most 1 part in 2048, one of a probability near 1 by at most 3e-8.
//! In frames and in JSON the bytes are base64 (RFC 4648, without padding).

mod base64;
mod half;

use crate::items::{Answers, ItemResults};

/// Most bytes of one packed value: 120,000 examples of two classes. Larger splits have no item results: with so many,
/// what an example says by itself hardly matters any more, and each evaluation would be a megabyte.
pub const MOST_BYTES: usize = 256 << 10;
/// Counted up when the bytes mean something else than before.
const VERSION: u8 = 1;
/// Bytes before the answers.
const HEAD: usize = 10;
/// Largest unit of losses: more than this no f32 needs.
const MOST_EXPONENT: i32 = 128;

/// What was packed cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// No base64.
    #[error("it is no base64")]
    Text,
    /// Of a newer converge.
    #[error("it has format {0}, this converge reads {VERSION}")]
    Version(u8),
    /// Longer than anything that is packed.
    #[error("it has more than {MOST_BYTES} bytes")]
    Long,
    /// Bytes are missing or too many, or say what cannot be.
    #[error("its bytes do not fit together")]
    Damaged,
}

/// Returns the bytes of answers; none where there are too many of them, or where they are not as many as they should.
pub fn answers(answers: &Answers) -> Option<Vec<u8>> {
    let (task, width) = match answers {
        Answers::Classes { classes } => {
            let largest = classes.iter().copied().max().unwrap_or(0);
            (0, u32::BITS - largest.leading_zeros())
        }
        Answers::Labels { labels, has } => {
            if *labels == 0 || answers.len().checked_mul(*labels as usize) != Some(has.len()) {
                return None;
            }
            (1, *labels)
        }
        Answers::Numbers { .. } => (2, 32),
    };
    let examples = u32::try_from(answers.len()).ok()?;
    let size = answer_bytes(examples, width)?.checked_add(HEAD)?;
    if size > MOST_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(size + 1 + 2 * answers.len());
    bytes.extend([VERSION, task]);
    bytes.extend(examples.to_le_bytes());
    bytes.extend(width.to_le_bytes());
    match answers {
        Answers::Classes { classes } => {
            let bit = |class: u32, place: u32| class >> place & 1 == 1;
            let bits =
                classes.iter().flat_map(|class| (0..width).map(move |place| bit(*class, place)));
            push_bits(&mut bytes, bits);
        }
        Answers::Labels { has, .. } => push_bits(&mut bytes, has.iter().copied()),
        Answers::Numbers { numbers } => {
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
    Some(bytes)
}

/// Returns the bytes of item results; none where they are too many, or where answers and losses are not as many.
pub fn items(items: &ItemResults) -> Option<Vec<u8>> {
    if items.answers.len() != items.losses.len() {
        return None;
    }
    let mut bytes = answers(&items.answers)?;
    if bytes.len() + 1 + 2 * items.losses.len() > MOST_BYTES {
        return None;
    }
    let largest = items.losses.iter().copied().filter(|loss| loss.is_finite()).fold(0.0, f32::max);
    let scaled = |exponent: i32| half::of(scale(largest, -exponent));
    let exponent = (0..MOST_EXPONENT).find(|exponent| half::is_finite(scaled(*exponent)))?;
    bytes.push(exponent as u8);
    bytes.extend(
        items.losses.iter().flat_map(|loss| half::of(scale(*loss, -exponent)).to_le_bytes()),
    );
    Some(bytes)
}

/// Reads what [`answers`] wrote.
///
/// # Errors
/// [`PackedError`]; nothing large is made of bytes that do not fit together.
pub fn answers_of(bytes: &[u8]) -> Result<Answers, PackedError> {
    match read_answers(bytes)? {
        (answers, []) => Ok(answers),
        _ => Err(PackedError::Damaged),
    }
}

/// Reads what [`items`] wrote.
///
/// # Errors
/// [`PackedError`]; nothing large is made of bytes that do not fit together.
pub fn items_of(bytes: &[u8]) -> Result<ItemResults, PackedError> {
    let (answers, rest) = read_answers(bytes)?;
    let Some((exponent, losses)) = rest.split_first() else { return Err(PackedError::Damaged) };
    let exponent = i32::from(*exponent);
    if losses.len() != 2 * answers.len() || exponent >= MOST_EXPONENT {
        return Err(PackedError::Damaged);
    }
    let loss = |pair: &[u8]| scale(half::to_f32(u16::from_le_bytes([pair[0], pair[1]])), exponent);
    Ok(ItemResults { answers, losses: losses.chunks_exact(2).map(loss).collect() })
}

/// Returns the answers, and the bytes behind them.
fn read_answers(bytes: &[u8]) -> Result<(Answers, &[u8]), PackedError> {
    if bytes.len() > MOST_BYTES {
        return Err(PackedError::Long);
    }
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Err(PackedError::Damaged) };
    if head[0] != VERSION {
        return Err(PackedError::Version(head[0]));
    }
    let number = |from: usize| {
        u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
    };
    let (task, examples, width) = (head[1], number(2), number(6));
    let length = answer_bytes(examples, width).ok_or(PackedError::Damaged)?;
    let (packed, rest) = rest.split_at_checked(length).ok_or(PackedError::Damaged)?;
    let bit = |place: usize| packed[place / 8] >> (place % 8) & 1 == 1;
    let (examples, wide) = (examples as usize, width as usize);
    // A width of nothing takes no bytes: then the number of examples is not known to be true.
    if wide == 0 && examples > MOST_BYTES {
        return Err(PackedError::Damaged);
    }
    let answers = match task {
        0 if width <= u32::BITS => {
            let class = |example: usize| {
                (0..wide)
                    .fold(0, |class, place| class | u32::from(bit(example * wide + place)) << place)
            };
            Answers::Classes { classes: (0..examples).map(class).collect() }
        }
        1 if width > 0 => {
            Answers::Labels { labels: width, has: (0..examples * wide).map(bit).collect() }
        }
        2 if width == 32 => {
            let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            Answers::Numbers { numbers: packed.chunks_exact(4).map(number).collect() }
        }
        _ => return Err(PackedError::Damaged),
    };
    Ok((answers, rest))
}

/// Returns the bytes that so many answers take.
fn answer_bytes(examples: u32, width: u32) -> Option<usize> {
    usize::try_from(u64::from(examples).checked_mul(u64::from(width))?.div_ceil(8)).ok()
}

fn push_bits(bytes: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let (mut byte, mut filled) = (0_u8, 0);
    for bit in bits {
        byte |= u8::from(bit) << filled;
        filled += 1;
        if filled == 8 {
            bytes.push(byte);
            (byte, filled) = (0, 0);
        }
    }
    if filled > 0 {
        bytes.push(byte);
    }
}

/// Returns a number times 2 to the power of `exponent`.
fn scale(number: f32, exponent: i32) -> f32 {
    // In two steps, since a power of two can be out of an f32's range where the product is not.
    let half = exponent / 2;
    (f64::from(number) * f64::from(half).exp2() * f64::from(exponent - half).exp2()) as f32
}

/// For serde's `with`: answers that may be absent, as text.
pub mod answers_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    use super::{Answers, base64};

    /// Writes the answers.
    ///
    /// # Errors
    /// Where they are too many, or those of the serializer.
    pub fn serialize<S: Serializer>(
        answers: &Option<Answers>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let Some(answers) = answers else { return serializer.serialize_none() };
        let bytes = super::answers(answers);
        let bytes = bytes.ok_or_else(|| ser::Error::custom("these answers cannot be packed"))?;
        serializer.serialize_str(&base64::encode(&bytes))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Where there is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Answers>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let bytes = base64::decode(&text);
        bytes.and_then(|bytes| super::answers_of(&bytes)).map(Some).map_err(de::Error::custom)
    }
}

/// The same for item results.
pub mod items_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    use super::{ItemResults, base64};

    /// Writes the item results.
    ///
    /// # Errors
    /// Where they are too many, or those of the serializer.
    pub fn serialize<S: Serializer>(
        items: &Option<ItemResults>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let Some(items) = items else { return serializer.serialize_none() };
        let bytes = super::items(items);
        let bytes =
            bytes.ok_or_else(|| ser::Error::custom("these item results cannot be packed"))?;
        serializer.serialize_str(&base64::encode(&bytes))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Where there is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ItemResults>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let bytes = base64::decode(&text);
        bytes.and_then(|bytes| super::items_of(&bytes)).map(Some).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
