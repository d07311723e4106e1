//! The classes of a data set and their order.

use std::collections::BTreeSet;

/// Returns the distinct labels in the order of their classes: by value if all of them are integers,
/// else by name.
pub(crate) fn classes<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let distinct: BTreeSet<&str> = labels.collect();
    let mut classes: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        // Stable: `01` and `1` are two names of one value.
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value_and_names_by_name() {
        assert_eq!(classes(["10", "9", "-1", "9"].into_iter()), ["-1", "9", "10"]);
        assert_eq!(classes(["10", "9", "x"].into_iter()), ["10", "9", "x"]);
        assert_eq!(classes(["pos", "neg"].into_iter()), ["neg", "pos"]);
        assert_eq!(classes(["1", "01"].into_iter()), ["01", "1"]);
        assert_eq!(classes(std::iter::empty()), Vec::<String>::new());
    }
}
