//! IEEE 754 binary16.

/// Bits of a mantissa.
const MANTISSA: u32 = 10;
const INFINITY: u16 = 0x7c00;
const NAN: u16 = 0x7e00;

/// Returns the nearest half-precision number; ties go to the even one.
pub(super) fn of(number: f32) -> u16 {
    let sign = (number.to_bits() >> 16) as u16 & 0x8000;
    if number.is_nan() {
        return NAN;
    }
    let size = f64::from(number.abs());
    // Numbers below 2^-14 share its unit: they are subnormal.
    let exponent =
        if size < 6.103_515_625e-5 { -14 } else { (number.to_bits() >> 23 & 0xff) as i32 - 127 };
    if exponent > 15 {
        return sign | INFINITY;
    }
    let units = (size * f64::from(MANTISSA as i32 - exponent).exp2()).round_ties_even() as u16;
    // The bit above the mantissa of a normal number counts its exponent up; a mantissa that is rounded up to the next
    // power of two does so once more, and the largest becomes infinity.
    sign | ((((exponent + 14) as u16) << MANTISSA) + units)
}

/// Returns the number, exactly.
pub(super) fn to_f32(half: u16) -> f32 {
    let mantissa = f32::from(half & 0x3ff);
    let size = match half >> MANTISSA & 0x1f {
        0 => mantissa * (-24_f32).exp2(),
        0x1f if half & 0x3ff == 0 => f32::INFINITY,
        0x1f => f32::NAN,
        exponent => (mantissa + 1024.0) * (f32::from(exponent) - 25.0).exp2(),
    };
    if half & 0x8000 == 0 { size } else { -size }
}

/// Returns whether it is a number.
pub(super) fn is_finite(half: u16) -> bool {
    half & INFINITY != INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives() {
        for half in 0..=u16::MAX {
            let number = to_f32(half);
            if number.is_nan() {
                assert_eq!(of(number), NAN);
            } else {
                assert_eq!(of(number), half, "{number}");
            }
        }
        let known = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x3555, 0.333_251_95)];
        for (half, number) in known {
            assert_eq!(to_f32(half), number);
        }
        assert_eq!(to_f32(1), 5.960_464_5e-8);
    }

    #[test]
    fn a_number_between_two_becomes_the_nearer_and_of_equals_the_even_one() {
        for half in 0..INFINITY - 1 {
            let (low, high) = (to_f32(half), to_f32(half + 1));
            let middle = (low + high) / 2.0;
            let even = if half % 2 == 0 { half } else { half + 1 };
            assert_eq!(of(middle), even, "{middle}");
            assert_eq!(of(middle.next_down()), half);
            assert_eq!(of(middle.next_up()), half + 1);
        }
        assert_eq!(of(65519.9), 0x7bff);
        assert_eq!([of(65520.0), of(f32::MAX), of(f32::INFINITY)], [INFINITY; 3]);
        assert_eq!(of(f32::from_bits(1)), 0);
    }
}
