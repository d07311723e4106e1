//! The expression of a constraint: tokens, a parser by precedence, types, and its value.

use crate::key::{KEYS, Key, Kind, nearest};
use crate::value::Value;

/// Depth of parentheses and negations: a stranger's file must not use up the stack.
const DEEPEST: usize = 64;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct SyntaxError {
    /// The character, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl SyntaxError {
    fn new(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An expression whose types fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Compare(Operand, Comparison, Operand),
    OneOf(&'static Key, Vec<Value>),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// A side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Key(&'static Key),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Comparison {
    fn word(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, left: &Value, right: &Value) -> bool {
        match self {
            Self::Equal => left.means(right),
            Self::Unequal => !left.means(right),
            Self::Less | Self::AtMost | Self::Greater | Self::AtLeast => {
                let (Some(left), Some(right)) = (left.number(), right.number()) else {
                    return false;
                };
                match self {
                    Self::Less => left < right,
                    Self::AtMost => left <= right,
                    Self::Greater => left > right,
                    _ => left >= right,
                }
            }
        }
    }
}

impl Operand {
    fn value(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
        match self {
            Self::Key(key) => value_of(key.short_name()),
            Self::Literal(value) => Some(value.clone()),
        }
    }
}

impl Expression {
    pub(super) fn holds(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        match self {
            Self::Compare(left, comparison, right) => {
                match (left.value(value_of), right.value(value_of)) {
                    (Some(left), Some(right)) => comparison.holds(&left, &right),
                    _ => false,
                }
            }
            Self::OneOf(key, values) => value_of(key.short_name())
                .is_some_and(|value| values.iter().any(|one| one.means(&value))),
            Self::Not(inner) => !inner.holds(value_of),
            Self::All(parts) => parts.iter().all(|part| part.holds(value_of)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value_of)),
        }
    }

    pub(super) fn names(&self, names: &mut Vec<&'static str>) {
        match self {
            Self::Compare(left, _, right) => {
                for operand in [left, right] {
                    if let Operand::Key(key) = operand {
                        names.push(key.short_name());
                    }
                }
            }
            Self::OneOf(key, _) => names.push(key.short_name()),
            Self::Not(inner) => inner.names(names),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.names(names));
            }
        }
    }

    pub(super) fn map_texts(&mut self, map: &dyn Fn(&Key, &str) -> String) {
        let rewrite = |key: &Key, value: &mut Value| {
            if let Value::Text(text) = value {
                *text = map(key, text);
            }
        };
        match self {
            Self::Compare(Operand::Key(key), _, Operand::Literal(value))
            | Self::Compare(Operand::Literal(value), _, Operand::Key(key)) => rewrite(key, value),
            Self::Compare(..) => {}
            Self::OneOf(key, values) => values.iter_mut().for_each(|value| rewrite(key, value)),
            Self::Not(inner) => inner.map_texts(map),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter_mut().for_each(|part| part.map_texts(map));
            }
        }
    }
}

impl std::fmt::Display for Operand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => formatter.write_str(key.short_name()),
            Self::Literal(value) => write_literal(value, formatter),
        }
    }
}

fn write_literal(value: &Value, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match value {
        Value::Text(text) if text.contains('\'') => write!(formatter, "\"{text}\""),
        Value::Text(text) => write!(formatter, "'{text}'"),
        other => write!(formatter, "{other}"),
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let join = |parts: &[Self], word: &str, formatter: &mut std::fmt::Formatter<'_>| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    formatter.write_str(word)?;
                }
                match part {
                    Self::Any(_) | Self::All(_) => write!(formatter, "({part})")?,
                    _ => write!(formatter, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Compare(left, comparison, right) => {
                write!(formatter, "{left} {} {right}", comparison.word())
            }
            Self::OneOf(key, values) => {
                write!(formatter, "{} in [", key.short_name())?;
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        formatter.write_str(", ")?;
                    }
                    write_literal(value, formatter)?;
                }
                formatter.write_str("]")
            }
            Self::Not(inner) => write!(formatter, "!({inner})"),
            Self::All(parts) => join(parts, " && ", formatter),
            Self::Any(parts) => join(parts, " || ", formatter),
        }
    }
}

/// Reads an expression and checks its types.
pub(super) fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let expression = parser.any()?;
    match parser.take() {
        (_, Token::End) => Ok(expression),
        (column, Token::Compare(_)) => {
            Err(SyntaxError::new(column, "comparisons cannot be chained")
                .hint("write `1e-5 < learning_rate && learning_rate < 1e-3`"))
        }
        (column, token) => Err(SyntaxError::new(
            column,
            format!("expected `&&`, `||` or the end, found {}", token.shown()),
        )),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Literal(Value),
    Compare(Comparison),
    In,
    And,
    Or,
    Not,
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    End,
}

impl Token {
    fn shown(&self) -> String {
        let word = match self {
            Self::Name(name) => name.as_str(),
            Self::Literal(Value::Text(text)) => return format!("'{text}'"),
            Self::Literal(value) => return format!("`{value}`"),
            Self::Compare(comparison) => comparison.word(),
            Self::In => "in",
            Self::And => "&&",
            Self::Or => "||",
            Self::Not => "!",
            Self::Open => "(",
            Self::Close => ")",
            Self::OpenList => "[",
            Self::CloseList => "]",
            Self::Comma => ",",
            Self::End => return "the end".into(),
        };
        format!("`{word}`")
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let characters: Vec<char> = text.chars().collect();
    let at = |place: usize| characters.get(place).copied().unwrap_or('\0');
    let (mut tokens, mut place) = (Vec::new(), 0);
    while place < characters.len() {
        let (start, column) = (place, place + 1);
        let wrong = |message: &str, hint: &str| Err(SyntaxError::new(column, message).hint(hint));
        let (token, length) = match (at(place), at(place + 1)) {
            (space, _) if space.is_whitespace() => {
                place += 1;
                continue;
            }
            ('&', '&') => (Token::And, 2),
            ('|', '|') => (Token::Or, 2),
            ('&', _) => return wrong("a single `&`", "write `&&`"),
            ('|', _) => return wrong("a single `|`", "write `||`"),
            ('=', '=') => (Token::Compare(Comparison::Equal), 2),
            ('=', _) => return wrong("a single `=`", "write `==` to compare"),
            ('!', '=') => (Token::Compare(Comparison::Unequal), 2),
            ('!', _) => (Token::Not, 1),
            ('<', '=') => (Token::Compare(Comparison::AtMost), 2),
            ('<', '>') => return wrong("`<>` is no comparison", "write `!=`"),
            ('<', _) => (Token::Compare(Comparison::Less), 1),
            ('>', '=') => (Token::Compare(Comparison::AtLeast), 2),
            ('>', _) => (Token::Compare(Comparison::Greater), 1),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            ('[', _) => (Token::OpenList, 1),
            (']', _) => (Token::CloseList, 1),
            (',', _) => (Token::Comma, 1),
            (quote @ ('\'' | '"'), _) => {
                let inner: String =
                    characters[start + 1..].iter().take_while(|one| **one != quote).collect();
                let length = inner.chars().count() + 2;
                if start + length > characters.len() {
                    return Err(SyntaxError::new(column, "the quote is not closed"));
                }
                (Token::Literal(Value::Text(inner)), length)
            }
            (first, second)
                if first.is_ascii_digit()
                    || (matches!(first, '-' | '+' | '.')
                        && (second.is_ascii_digit() || second == '.')) =>
            {
                let mut end = start + 1;
                while at(end).is_ascii_alphanumeric()
                    || matches!(at(end), '.' | '_')
                    || (matches!(at(end), '+' | '-') && matches!(at(end - 1), 'e' | 'E'))
                {
                    end += 1;
                }
                let written: String = characters[start..end].iter().collect();
                (Token::Literal(number(&written, column)?), end - start)
            }
            (first, _) if first.is_alphabetic() || first == '_' => {
                let mut end = start + 1;
                while at(end).is_alphanumeric() || matches!(at(end), '_' | '.') {
                    end += 1;
                }
                let word: String = characters[start..end].iter().collect();
                let token = match word.as_str() {
                    "in" => Token::In,
                    "true" => Token::Literal(Value::Boolean(true)),
                    "false" => Token::Literal(Value::Boolean(false)),
                    "and" => return wrong("`and` is no operator", "write `&&`"),
                    "or" => return wrong("`or` is no operator", "write `||`"),
                    "not" => return wrong("`not` is no operator", "write `!(...)`"),
                    _ => Token::Name(word),
                };
                (token, end - start)
            }
            (other, _) => {
                return Err(SyntaxError::new(column, format!("`{}` has no meaning here", other.escape_default()))
                    .hint("an expression is made of keys, numbers, 'words', == != < <= > >= in, && || !, ( and )"));
            }
        };
        tokens.push((column, token));
        place += length;
    }
    tokens.push((characters.len() + 1, Token::End));
    Ok(tokens)
}

fn number(written: &str, column: usize) -> Result<Value, SyntaxError> {
    let plain = written.replace('_', "");
    if let Ok(whole) = plain.parse() {
        return Ok(Value::Integer(whole));
    }
    match plain.parse::<f64>() {
        // One number has one spelling.
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Ok(Value::Integer(number as i64))
        }
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(SyntaxError::new(column, format!("`{written}` is no number"))),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn take(&mut self) -> (usize, Token) {
        let token = self.tokens[self.next.min(self.tokens.len() - 1)].clone();
        self.next += 1;
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Expression, SyntaxError> {
        let mut parts = vec![self.all()?];
        while self.takes(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all(&mut self) -> Result<Expression, SyntaxError> {
        let mut parts = vec![self.single()?];
        while self.takes(&Token::And) {
            parts.push(self.single()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    fn single(&mut self) -> Result<Expression, SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let column = self.take().0;
            return Err(SyntaxError::new(
                column,
                format!("more than {DEEPEST} levels of parentheses"),
            ));
        }
        let expression = if self.takes(&Token::Not) {
            Expression::Not(Box::new(self.single()?))
        } else if self.takes(&Token::Open) {
            let inner = self.any()?;
            match self.take() {
                (_, Token::Close) => inner,
                (column, token) => {
                    return Err(SyntaxError::new(
                        column,
                        format!("expected `)`, found {}", token.shown()),
                    ));
                }
            }
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, SyntaxError> {
        let (left_column, left) = self.operand()?;
        let (column, token) = self.take();
        match token {
            Token::Compare(comparison) => {
                let (right_column, right) = self.operand()?;
                check((left_column, &left), comparison, (right_column, &right))?;
                Ok(Expression::Compare(left, comparison, right))
            }
            Token::In => {
                let Operand::Key(key) = left else {
                    return Err(SyntaxError::new(left_column, "`in` stands behind a key")
                        .hint("write `batch_size in [16, 32]`"));
                };
                Ok(Expression::OneOf(key, self.list(key)?))
            }
            token => {
                let message = format!("expected a comparison, found {}", token.shown());
                Err(SyntaxError::new(column, message)
                    .hint("write a key, one of == != < <= > >= in, and a value"))
            }
        }
    }

    fn list(&mut self, key: &'static Key) -> Result<Vec<Value>, SyntaxError> {
        let (column, token) = self.take();
        if token != Token::OpenList {
            let message = format!("expected `[`, found {}", token.shown());
            return Err(SyntaxError::new(column, message).hint("write `batch_size in [16, 32]`"));
        }
        let mut values = Vec::new();
        loop {
            let (column, operand) = self.operand()?;
            check((column, &Operand::Key(key)), Comparison::Equal, (column, &operand))?;
            match operand {
                Operand::Literal(value) => values.push(value),
                Operand::Key(_) => {
                    return Err(SyntaxError::new(column, "a list holds values, and no keys"));
                }
            }
            match self.take() {
                (_, Token::CloseList) => return Ok(values),
                (_, Token::Comma) => {}
                (column, token) => {
                    return Err(SyntaxError::new(
                        column,
                        format!("expected `,` or `]`, found {}", token.shown()),
                    ));
                }
            }
        }
    }

    fn operand(&mut self) -> Result<(usize, Operand), SyntaxError> {
        match self.take() {
            (column, Token::Literal(value)) => Ok((column, Operand::Literal(value))),
            (column, Token::Name(name)) => match Key::find(&name) {
                Some(key) => Ok((column, Operand::Key(key))),
                None => {
                    let error = SyntaxError::new(column, format!("unknown key `{name}`"));
                    Err(match nearest(&name, KEYS.iter().map(Key::short_name)) {
                        Some(near) => error.hint(format!("did you mean `{near}`?")),
                        None => error.hint(format!("a word stands in quotes: '{name}'")),
                    })
                }
            },
            (column, token) => {
                let message = format!("expected a key or a value, found {}", token.shown());
                Err(SyntaxError::new(column, message))
            }
        }
    }
}

/// What an operand can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sort {
    number: bool,
    text: bool,
    boolean: bool,
}

fn sort(operand: &Operand) -> Sort {
    let none = Sort { number: false, text: false, boolean: false };
    match operand {
        Operand::Key(key) => match key.kind {
            Kind::Float(_) | Kind::Integer(_) => Sort { number: true, ..none },
            Kind::Choice(_) | Kind::Text | Kind::Path | Kind::ChoiceOrList(_) => {
                Sort { text: true, ..none }
            }
            Kind::ChoiceOrInteger(..) => Sort { number: true, text: true, ..none },
            Kind::Boolean => Sort { boolean: true, ..none },
        },
        Operand::Literal(Value::Boolean(_)) => Sort { boolean: true, ..none },
        Operand::Literal(Value::Text(_)) => Sort { text: true, ..none },
        Operand::Literal(_) => Sort { number: true, ..none },
    }
}

/// Checks that two operands can be compared.
fn check(
    (left_column, left): (usize, &Operand),
    comparison: Comparison,
    (right_column, right): (usize, &Operand),
) -> Result<(), SyntaxError> {
    if let (Operand::Literal(_), Operand::Literal(_)) = (left, right) {
        return Err(SyntaxError::new(left_column, "no key is compared here")
            .hint("a key is written without quotes: learning_rate < 2e-5"));
    }
    let (one, other) = (sort(left), sort(right));
    let orders = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    if orders && !(one.number && other.number) {
        let (column, operand) =
            if one.number { (right_column, right) } else { (left_column, left) };
        let message =
            format!("{} is no number: `{}` does not fit it", told(operand), comparison.word());
        return Err(SyntaxError::new(column, message).hint("words are compared by == and !="));
    }
    let both =
        (one.number && other.number) || (one.text && other.text) || (one.boolean && other.boolean);
    if !both {
        let message = format!("{} and {} cannot be compared", told(left), told(right));
        let error = SyntaxError::new(right_column, message);
        return Err(match [left, right] {
            [Operand::Key(key), _] | [_, Operand::Key(key)] => {
                error.hint(format!("`{}` is {}", key.short_name(), key.kind.expected()))
            }
            _ => error,
        });
    }
    for (key, literal, column) in [(left, right, right_column), (right, left, left_column)] {
        if let (Operand::Key(key), Operand::Literal(Value::Text(word))) = (key, literal) {
            check_word(key, word, column)?;
        }
    }
    Ok(())
}

/// A word that the key never has is a slip.
fn check_word(key: &Key, word: &str, column: usize) -> Result<(), SyntaxError> {
    let (Kind::Choice(words) | Kind::ChoiceOrInteger(words, _) | Kind::ChoiceOrList(words)) =
        key.kind
    else {
        return Ok(());
    };
    if words.contains(&word) {
        return Ok(());
    }
    let error = SyntaxError::new(column, format!("`{}` is never '{word}'", key.short_name()));
    Err(match nearest(word, words.iter().copied()) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint(format!("it is {}", key.kind.expected())),
    })
}

fn told(operand: &Operand) -> String {
    match operand {
        Operand::Key(key) => format!("`{}`", key.short_name()),
        Operand::Literal(Value::Text(text)) => format!("'{text}'"),
        Operand::Literal(value) => format!("`{value}`"),
    }
}
