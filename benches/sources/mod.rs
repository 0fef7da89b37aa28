//! Python source made up from a seed, so that a benchmark compares the same texts on every machine.

const NOUNS: [&str; 48] = [
    "account", "address", "batch", "bucket", "buffer", "cache", "channel", "client", "column", "counter", "cursor",
    "delta", "digest", "entry", "event", "field", "folder", "frame", "graph", "header", "index", "invoice", "key",
    "ledger", "level", "matrix", "message", "node", "offset", "order", "packet", "parser", "path", "price", "query",
    "queue", "record", "region", "result", "route", "schema", "session", "signal", "stream", "table", "ticket",
    "vector", "window",
];
const VERBS: [&str; 16] = [
    "add", "build", "check", "close", "count", "encode", "fetch", "filter", "find", "load", "merge", "parse", "reduce",
    "sort", "split", "update",
];

/// A small linear congruential generator (the constants of Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % n
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words.get(self.below(words.len())).copied().unwrap_or_default()
    }

    fn noun(&mut self) -> &'static str {
        self.one_of(&NOUNS)
    }

    fn name(&mut self) -> String {
        match self.below(3) {
            0 => self.noun().to_owned(),
            1 => format!("{}_{}", self.noun(), self.noun()),
            _ => format!("{}{}", self.noun(), self.below(9)),
        }
    }
}

/// A module of about `bytes` bytes; another seed makes an unrelated one.
pub(crate) fn python(seed: u64, bytes: usize) -> String {
    let mut dice = Dice(seed);
    let mut text = String::new();
    while text.len() < bytes {
        let verb = dice.one_of(&VERBS);
        let (name, a, b) = (dice.name(), dice.name(), dice.name());
        text.push_str(&format!(
            "def {verb}_{name}({a}, {b}=None):\n    \"\"\"Takes a {a} and a {b}, gives a {name}.\"\"\"\n"
        ));
        for _ in 0..4 + dice.below(8) {
            let (x, y, z) = (dice.name(), dice.name(), dice.name());
            let line = match dice.below(7) {
                0 => format!("    {x} = {y} + {z}.get('{a}', {})\n", dice.below(100)),
                1 => format!("    if {x} is not None and {y} > {}:\n        {z}.append({x})\n", dice.below(50)),
                2 => format!("    for {x} in sorted({y}, key=lambda item: item.{z}):\n        {b} = {x}\n"),
                3 => format!("    {x} = [{y} for {y} in {z} if {y} != {a}]\n"),
                4 => format!("    self.{x} = {y}[{}:].split('{z}')\n", dice.below(10)),
                5 => format!("    {x}, {y} = {z}({a}, {b})\n"),
                _ => format!("    # keep the {x} beside its {y}\n    assert {x} <= {z}\n"),
            };
            text.push_str(&line);
        }
        text.push_str(&format!("    return {a}\n\n\n"));
    }
    text
}

/// The same module after an editor's hand: every twelfth line changed, every thirtieth dropped.
pub(crate) fn edited(text: &str) -> String {
    let mut edited = String::new();
    for (number, line) in text.lines().enumerate() {
        if number % 30 != 29 {
            edited.push_str(&if number % 12 == 5 { line.replace(['a', 'e'], "o") } else { line.to_owned() });
            edited.push('\n');
        }
    }
    edited
}
