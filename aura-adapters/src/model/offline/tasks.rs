//! The small Python tasks that offline employees know, one piece of code for each skill.

use super::Skill;

struct Task {
    name: &'static str,
    careful: &'static str,
    hasty: &'static str,
    sloppy: &'static str,
}

/// The canned code of this skill for the function `name`.
pub(super) fn solution(name: &str, skill: Skill) -> Option<&'static str> {
    let task = TASKS.iter().find(|task| task.name == name)?;
    Some(match skill {
        Skill::Careful => task.careful,
        Skill::Hasty => task.hasty,
        Skill::Sloppy => task.sloppy,
    })
}

/// The identifiers in a prompt that stand right before an opening bracket, in their order.
pub(super) fn functions_named_in(prompt: &str) -> impl Iterator<Item = &str> {
    prompt.match_indices('(').filter_map(|(at, _)| {
        let before = prompt.get(..at)?;
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |i| {
            // The character found may be longer than a byte.
            i + before.get(i..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        before.get(start..).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    })
}

const TASKS: &[Task] = &[
    Task {
        name: "add",
        careful: r#"
def add(a, b):
    """Return the sum of a and b.

    Works for any two values that support ``+``: numbers, texts, lists.
    """
    return a + b
"#,
        hasty: r#"
def add(a, b):
    # Numbers only, and fractions are lost.
    return int(a) + int(b)
"#,
        sloppy: r#"
def add(a, b):
    return a - b
"#,
    },
    Task {
        name: "factorial",
        careful: r#"
def factorial(n):
    """Return n!, the product of the whole numbers from 1 to n.

    factorial(0) is 1. Raises ValueError when n is negative or not a whole number.
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError("n must be a whole number of at least 0")
    result = 1
    for factor in range(2, n + 1):
        result *= factor
    return result
"#,
        hasty: r#"
def factorial(n):
    result = 1
    for factor in range(1, n + 1):
        result *= factor
    return result
"#,
        sloppy: r#"
def factorial(n):
    result = 1
    for factor in range(1, n):
        result *= factor
    return result
"#,
    },
    Task {
        name: "fibonacci",
        careful: r#"
def fibonacci(n):
    """Return the n-th Fibonacci number; fibonacci(0) is 0 and fibonacci(1) is 1.

    Takes time proportional to n. Raises ValueError when n is negative.
    """
    if n < 0:
        raise ValueError("n must be at least 0")
    current, following = 0, 1
    for _ in range(n):
        current, following = following, current + following
    return current
"#,
        hasty: r#"
def fibonacci(n):
    if n <= 1:
        return n
    a, b = 0, 1
    for _ in range(n - 1):
        a, b = b, a + b
    return b
"#,
        sloppy: r#"
def fibonacci(n):
    a, b = 1, 1
    for _ in range(n):
        a, b = b, a + b
    return a
"#,
    },
    Task {
        name: "fizzbuzz",
        careful: r#"
def fizzbuzz(n):
    """Return the FizzBuzz texts for the numbers 1 to n as a list.

    Multiples of 3 become "Fizz", of 5 "Buzz", of both "FizzBuzz"; other numbers stand for themselves as text.
    The list is empty when n is less than 1.
    """
    def text(number):
        words = ("Fizz" if number % 3 == 0 else "") + ("Buzz" if number % 5 == 0 else "")
        return words or str(number)

    return [text(number) for number in range(1, n + 1)]
"#,
        hasty: r#"
def fizzbuzz(n):
    out = []
    for i in range(1, n + 1):
        if i % 3 == 0:
            out.append("Fizz")
        elif i % 5 == 0:
            out.append("Buzz")
        else:
            out.append(str(i))
    return out
"#,
        sloppy: r#"
def fizzbuzz(n):
    return ["Fizz" if i % 3 else str(i) for i in range(n)]
"#,
    },
    Task {
        name: "is_palindrome",
        careful: r#"
def is_palindrome(text):
    """Return True if text reads the same forwards and backwards.

    Case, spaces and punctuation do not count, so "A man, a plan, a canal: Panama" is one, and so is the empty text.
    """
    letters = [character.casefold() for character in text if character.isalnum()]
    return letters == letters[::-1]
"#,
        hasty: r#"
def is_palindrome(text):
    return text == text[::-1]
"#,
        sloppy: r#"
def is_palindrome(text):
    return text[0] == text[1]
"#,
    },
    Task {
        name: "slugify",
        careful: r#"
import re
import unicodedata


def slugify(text):
    """Turn text into a slug for a URL: lower-case ASCII letters and digits, joined by single hyphens.

    Accents are taken off ("Café" gives "cafe"), every run of other characters becomes one hyphen, and no hyphen is
    left at either end. A text without any letter or digit gives "".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
"#,
        hasty: r#"
import re


def slugify(text):
    return re.sub(r"[^a-z0-9]", "-", text.lower())
"#,
        sloppy: r#"
def slugify(text):
    return text.replace(" ", "_")
"#,
    },
    Task {
        name: "to_roman",
        careful: r#"
def to_roman(number):
    """Return number as a Roman numeral, e.g. 1994 as "MCMXCIV".

    Raises ValueError outside 1 to 3999, which Roman numerals cannot express.
    """
    if not 1 <= number <= 3999:
        raise ValueError("number must be from 1 to 3999")
    steps = [
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    ]
    numeral = ""
    for value, letters in steps:
        count, number = divmod(number, value)
        numeral += letters * count
    return numeral
"#,
        hasty: r#"
def to_roman(number):
    numeral = ""
    for value, letter in [(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (4, "IV"), (1, "I")]:
        while number >= value:
            numeral += letter
            number -= value
    return numeral
"#,
        sloppy: r#"
def to_roman(number):
    return "I" * number
"#,
    },
    Task {
        name: "word_count",
        careful: r#"
def word_count(text):
    """Return how many words text has: runs of characters between white space of any kind.

    The empty text has 0 words.
    """
    return len(text.split())
"#,
        hasty: r#"
def word_count(text):
    return len(text.split(" "))
"#,
        sloppy: r#"
def word_count(text):
    return text.count(" ")
"#,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_are_found_in_the_order_of_the_prompt() {
        let names = |prompt| functions_named_in(prompt).collect::<Vec<_>>();
        assert_eq!(names("Write `slugify(text)`, like to_roman(4)."), ["slugify", "to_roman"]);
        assert_eq!(names("é(x) (y) 3(z) Größe_ab(c)"), ["e_ab"]);
        assert_eq!(names("def add(a, b):"), ["add"]);
    }

    #[test]
    fn every_skill_has_its_own_code_for_every_task() {
        for task in TASKS {
            for code in [task.careful, task.hasty, task.sloppy] {
                assert!(code.contains(&format!("def {}(", task.name)), "{}", task.name);
            }
            assert!(task.careful.contains("\"\"\"") && !task.sloppy.contains("\"\"\""), "{}", task.name);
            assert!(task.careful != task.hasty && task.hasty != task.sloppy, "{}", task.name);
        }
    }
}
