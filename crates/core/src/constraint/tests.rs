use super::Constraint;
use crate::value::Value;

fn fits(text: &str) -> bool {
    let value_of = |name: &str| match name {
        "learning_rate" => Some(Value::Float(1e-5)),
        "batch_size" => Some(Value::Integer(16)),
        "optimizer" => Some(Value::Text("sgd".into())),
        "warmup_ratio" => Some(Value::Float(0.1)),
        "freeze" => Some(Value::Integer(2)),
        "data.label" => Some(Value::Text("it's".into())),
        _ => None,
    };
    Constraint::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).fits(&value_of)
}

#[test]
fn an_expression_holds_as_it_reads() {
    for text in [
        "optimizer == 'sgd' && learning_rate < 2e-5",
        "train.optimizer != \"adamw\"",
        "batch_size in [8, 16] && !(learning_rate > 1e-3)",
        "learning_rate<=1e-5&&learning_rate>=0.00001",
        "optimizer == 'adamw' || batch_size >= 16 && warmup_ratio == 0.1",
        "2e-5 > learning_rate",
        "batch_size == 16.0",
        "freeze in ['encoder', 2]",
        "data.label == \"it's\"",
        "!!(batch_size == 16)",
    ] {
        assert!(fits(text), "{text}");
    }
    for text in [
        "(optimizer == 'adamw' || batch_size >= 16) && warmup_ratio > 0.1",
        "freeze == 'encoder'",
        // Without a value every comparison is false.
        "max_steps < 10",
        "max_steps != 10",
        "momentum == 0.9",
    ] {
        assert!(!fits(text), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_column() {
    for (text, expected) in [
        ("", "1: expected a key or a value, found the end"),
        ("lr < 2e-5", "1: unknown key `lr`"),
        ("learning_rat < 2e-5", "1: unknown key `learning_rat` (did you mean `learning_rate`?)"),
        ("optimizer == sgd", "14: unknown key `sgd` (a word stands in quotes: 'sgd')"),
        ("optimizer = 'sgd'", "11: a single `=` (write `==` to compare)"),
        ("optimizer == 'sgd' and batch_size > 8", "20: `and` is no operator (write `&&`)"),
        ("optimizer == 'sgd' & batch_size > 8", "20: a single `&` (write `&&`)"),
        ("optimizer == 'adamv'", "14: `optimizer` is never 'adamv' (did you mean 'adamw'?)"),
        (
            "optimizer < 'sgd'",
            "1: `optimizer` is no number: `<` does not fit it (words are compared by == and !=)",
        ),
        (
            "batch_size == 'large'",
            "15: `batch_size` and 'large' cannot be compared (`batch_size` is a whole number of 1 or more)",
        ),
        ("1e-6 < learning_rate < 1e-5", "22: comparisons cannot be chained"),
        ("'learning_rate' < 2e-5", "1: no key is compared here"),
        ("(batch_size > 8", "16: expected `)`, found the end"),
        ("batch_size > 8)", "15: expected `&&`, `||` or the end, found `)`"),
        ("batch_size in 8", "15: expected `[`, found `8`"),
        ("batch_size in [8 16]", "18: expected `,` or `]`, found `16`"),
        ("batch_size in [8, 'a']", "19: `batch_size` and 'a' cannot be compared"),
        ("optimizer == 'sgd", "14: the quote is not closed"),
        ("batch_size > 1x", "14: `1x` is no number"),
        ("batch_size % 2 == 0", "12: `%` has no meaning here"),
        ("batch_size", "11: expected a comparison, found the end"),
    ] {
        let error = Constraint::parse(text).expect_err(text);
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let told = format!("{}: {}{hint}", error.column, error.message);
        assert!(told.starts_with(expected), "{text}\n  told: {told}\n  expected: {expected}");
    }
    assert!(Constraint::parse(&"(".repeat(100_000)).unwrap_err().message.contains("64 levels"));
}

#[test]
fn spaces_and_quotes_make_no_other_constraint() {
    let written =
        Constraint::parse("( optimizer==\"sgd\"||batch_size in[8,16] )&& !(learning_rate<2e-05)")
            .unwrap();
    let text = written.to_string();
    assert_eq!(text, "(optimizer == 'sgd' || batch_size in [8, 16]) && !(learning_rate < 2e-5)");
    assert_eq!(Constraint::parse(&text), Ok(written.clone()));
    let stored = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Constraint>(&stored).unwrap(), written);
    assert_eq!(written.names(), ["batch_size", "learning_rate", "optimizer"]);
}

#[test]
fn paths_are_compared_as_they_are_stored() {
    let mut constraint = Constraint::parse("model.path == 'a' && optimizer == 'sgd'").unwrap();
    constraint.map_paths(&|path| format!("/x/{path}"));
    assert_eq!(constraint.to_string(), "model.path == '/x/a' && optimizer == 'sgd'");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z_=<>!&|()\\[\\], '\"0-9.e+-]{0,60}") {
        if let Ok(constraint) = Constraint::parse(&text) {
            proptest::prop_assert_eq!(Constraint::parse(&constraint.to_string()).unwrap(), constraint);
        }
    }
}
